import { prefixHashes } from '../../../core/prefix-hashes.ts';
import { type ChatRequest, textOf } from '../../../core/request.ts';

/** Beginnings of prompts that are kept; the least used goes. */
const mostKept = 16;
/** A shorter one is read in no time, a longer one is not kept. */
const leastChars = 256;
const mostChars = 65_536;
/** One that was seen once may never come again. */
const leastUses = 2;

interface Prefix {
  /** Its messages and tools alone. */
  readonly request: ChatRequest;
  uses: number;
  /** Devices that a rule keeps one of its requests from. */
  readonly avoid: Set<string>;
}

/** What most prompts begin with: instructions and tools. A device that has just come can read them before it is asked. */
export class PrefixBook {
  readonly #prefixes = new Map<string, Prefix>();

  /** A request that is about to be answered by this model, and the devices that are not to see it. */
  note(request: ChatRequest, model: string, avoid: readonly string[] = []): void {
    const messages = instructionsOf(request);
    if (messages.length === 0) return;
    const prefix = { ...request, messages };
    // The request's own hashes are there already; those of a long conversation do not go back to its beginning.
    const key =
      prefixHashes(model, request).at(messages.length - request.messages.length - 1) ??
      prefixHashes(model, prefix).at(-1);
    if (key === undefined) return;
    const known = this.#prefixes.get(key);
    if (known !== undefined) {
      known.uses++;
      for (const id of avoid) known.avoid.add(id);
      return;
    }
    const chars = charsOf(prefix);
    if (chars < leastChars || chars > mostChars) return;
    this.#prefixes.set(key, { request: prefix, uses: 1, avoid: new Set(avoid) });
    if (this.#prefixes.size > mostKept) this.#dropLeastUsed();
  }

  /** The most used beginning for this model that the device may see and that is neither in its cache nor was asked for. */
  next(
    device: string,
    model: string,
    isKnown: (hash: string) => boolean,
  ): { readonly hash: string; readonly request: ChatRequest } | undefined {
    let best: { readonly hash: string; readonly request: ChatRequest; readonly uses: number } | undefined;
    for (const { request, uses, avoid } of this.#prefixes.values()) {
      const hash = prefixHashes(model, request).at(-1);
      if (hash === undefined || uses < leastUses || uses <= (best?.uses ?? 0)) continue;
      if (avoid.has(device) || isKnown(hash)) continue;
      best = { hash, request, uses };
    }
    return best;
  }

  #dropLeastUsed(): void {
    let least: readonly [string, number] | undefined;
    for (const [key, { uses }] of this.#prefixes) if (least === undefined || uses < least[1]) least = [key, uses];
    if (least !== undefined) this.#prefixes.delete(least[0]);
  }
}

function instructionsOf({ messages }: ChatRequest): ChatRequest['messages'] {
  const end = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  return end === -1 ? messages : messages.slice(0, end);
}

function charsOf({ messages, tools }: ChatRequest): number {
  let chars = 0;
  for (const message of messages) chars += textOf(message).length;
  for (const { name, description = '', parameters } of tools)
    chars += name.length + description.length + (parameters === undefined ? 0 : JSON.stringify(parameters).length);
  return chars;
}
