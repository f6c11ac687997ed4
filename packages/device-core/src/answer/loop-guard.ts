/** A cycle of more tokens than these is not looked for. */
export const longestCycle = 64;
/**
 * So many tokens of one cycle, without a break, are a loop: more than is asked for as a rule, and half a minute of a slow
 * machine. `I will not talk in class` a hundred times is 800 tokens, a matrix of 16 × 16 zeros as JSON some 800; a ruler
 * or base64 of zeros has 8 to 16 characters a token.
 */
export const mostRepeated = 1_024;
/** So many tokens in a row that show nothing; JSON may be led there by its own grammar. */
export const mostBlank = 256;

/**
 * Notices that a model says the same for ever, as small ones do: they go on until their context is full, and a slot with
 * them for minutes. Fed with each token's text in order; some tens of comparisons each.
 */
export class LoopGuard {
  readonly #isForced: boolean;
  /** The last tokens, as a ring. */
  readonly #last: string[] = [];
  /** For each length of a cycle, how many tokens in a row were as those one cycle before. */
  readonly #runs: number[] = Array.from({ length: longestCycle + 1 }, () => 0);
  #count = 0;
  #blank = 0;

  /** `isForced`: a grammar says what may follow, which may well be the same many times; white space alone counts then. */
  constructor(isForced = false) {
    this.#isForced = isForced;
  }

  /** Takes the next token. @returns whether it is one too many */
  push(token: string): boolean {
    this.#blank = token.trim() === '' ? this.#blank + 1 : 0;
    if (this.#blank >= mostBlank) return true;
    return !this.#isForced && this.#closesCycle(token);
  }

  #closesCycle(token: string): boolean {
    const count = this.#count++;
    let isLoop = false;
    for (let cycle = 1; cycle <= Math.min(count, longestCycle); cycle++) {
      const isSame = this.#last[(count - cycle) % longestCycle] === token;
      const run = isSame ? (this.#runs[cycle] ?? 0) + 1 : 0;
      this.#runs[cycle] = run;
      isLoop ||= run + cycle >= mostRepeated;
    }
    this.#last[count % longestCycle] = token;
    return isLoop;
  }
}
