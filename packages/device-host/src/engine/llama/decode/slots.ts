/**
 * Prompts are read in multiples of this, and reused up to one. llama.cpp rounds a little differently by how many tokens
 * it computes at once, which Gemma 3 makes visible: with these a warm prompt is computed in the shapes of a cold one.
 */
export const readStep = 8;

/** What one KV sequence holds. */
export interface SlotContents<T> {
  readonly tokens: readonly T[];
  /** Whose prompt it was; absent: the operator's own, open to everyone. */
  readonly key: string | undefined;
  /** Leading tokens that were the operator's own before a client's request took the slot. */
  readonly shared: number;
  /** Order of last use; 0 for never. */
  readonly used: number;
  /** Whether its end can be cut off; a recurrent state can only be continued. */
  readonly canCut: boolean;
}

/**
 * How many leading tokens of a prompt this slot spares. The last token is always computed again, since its logits
 * are needed; tokens of another client's prompt are never reused, because the time saved would tell of them.
 */
export function reusableTokens<T>(slot: SlotContents<T>, tokens: readonly T[], key: string | undefined): number {
  const open = slot.key === undefined || slot.key === key ? slot.tokens.length : slot.shared;
  const limit = Math.min(open, slot.tokens.length, tokens.length - 1);
  let length = 0;
  while (length < limit && slot.tokens[length] === tokens[length]) length += 1;
  if (slot.canCut) return length - (length % readStep);
  return length === slot.tokens.length ? length : 0;
}

/** The slot that spares most; among equals an empty one, then the one unused for longest. Undefined when none is free. */
export function chooseSlot<S extends SlotContents<T>, T>(
  free: readonly S[],
  tokens: readonly T[],
  key: string | undefined,
): S | undefined {
  let best: { slot: S; reusable: number } | undefined;
  for (const slot of free) {
    const reusable = reusableTokens(slot, tokens, key);
    if (best === undefined || reusable > best.reusable || (reusable === best.reusable && isCheaper(slot, best.slot))) {
      best = { slot, reusable };
    }
  }
  return best?.slot;
}

function isCheaper<T>(a: SlotContents<T>, b: SlotContents<T>): boolean {
  if ((a.tokens.length === 0) !== (b.tokens.length === 0)) return a.tokens.length === 0;
  return a.used < b.used;
}
