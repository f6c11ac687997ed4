import { prefixHashes } from '../core/prefix-hashes.ts';
import { setRecent } from '../core/recent.ts';
import type { ChatRequest, Message } from '../core/request.ts';

/** Tokens of a whole prompt. */
export type CountPrompt = (request: ChatRequest) => Promise<number>;

/**
 * Counts prompts by what has been counted of them before: some clients ask with every turn of a conversation, and only what
 * came since is counted then. Knows hashes and numbers alone. A sum of parts is off by a token or two where they meet.
 */
export class PromptCounts {
  /** By the hash of a prompt's beginning, oldest first. */
  readonly #known = new Map<string, number>();

  async count(request: ChatRequest, whole: CountPrompt): Promise<number> {
    const hashes = prefixHashes(request.model, request);
    const at = hashes.findLastIndex((hash) => this.#known.has(hash));
    const begun = this.#known.get(hashes[at] ?? '');
    const first = request.messages.length - hashes.length + at + 1;
    const tokens = begun === undefined ? await whole(request) : begun + (await rest(request, first, whole));
    const last = hashes.at(-1);
    if (last !== undefined) setRecent(this.#known, last, tokens, mostKnown);
    return tokens;
  }
}

const mostKnown = 2000;

/** What the messages from this one on add to a conversation. */
async function rest(request: ChatRequest, first: number, whole: CountPrompt): Promise<number> {
  const added = request.messages.slice(first);
  if (added.length === 0) return 0;
  // Templates write things of their own around any conversation: it is what comes on top that counts.
  const part = (messages: readonly Message[]): ChatRequest => ({ ...request, tools: [], messages, source: undefined });
  const [without, together] = await Promise.all([whole(part([opening])), whole(part([opening, ...added]))]);
  return Math.max(0, together - without);
}

const opening: Message = { role: 'user', content: [{ type: 'text', text: 'Hello' }] };
