import { hash } from 'node:crypto';
import { type ChatRequest, textOf } from './request.ts';

/** Beginnings of a prompt that are worth a hash: the last ones, which a conversation grows by. */
const mostHashes = 16;

const known = new WeakMap<ChatRequest, Map<string, readonly string[]>>();

/**
 * Names each beginning of a prompt, from its first message to so many: 16 hex digits of SHA-256 over model, tools and
 * messages. The last entry is the whole prompt; at most 16 are kept.
 */
export function prefixHashes(model: string, request: ChatRequest): readonly string[] {
  const models = known.get(request) ?? new Map<string, readonly string[]>();
  known.set(request, models);
  const made = models.get(model) ?? chain(model, request);
  models.set(model, made);
  return made;
}

function chain(model: string, { tools, messages, hints }: ChatRequest): readonly string[] {
  const hashes: string[] = [];
  let last = digest('', JSON.stringify([model, hints.clientKey ?? '', tools]));
  for (const message of messages) {
    const calls = message.role === 'assistant' ? message.toolCalls : [];
    const answers = message.role === 'tool' ? message.toolCallId : '';
    last = digest(last, JSON.stringify([message.role, textOf(message), calls, answers]));
    hashes.push(last);
  }
  return hashes.slice(-mostHashes);
}

function digest(before: string, text: string): string {
  return hash('sha256', before + text, 'hex').slice(0, 16);
}
