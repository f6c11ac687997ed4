import { type ChatRequest, textOf } from './request.ts';

/** So much of a prompt tells conversations apart. */
const lookedAtChars = 4_096;

/**
 * Names the conversation that a request belongs to, scoped to its key: what the client calls it, else its instructions
 * and first user message, which stay as it grows. Every router names it alike.
 */
export function conversationOf({ hints, messages }: ChatRequest): string {
  const key = hints.clientKey ?? '';
  if (hints.sessionKey !== undefined) return `${key}\n${hints.sessionKey}`;
  let text = key;
  for (const message of messages) {
    const said = textOf(message);
    text += `\n${message.role} ${said.length} ${said.slice(0, lookedAtChars)}`;
    if (message.role !== 'system' && message.role !== 'developer') break;
  }
  return text;
}
