/** Watches that the deltas of one request arrive once each and in order. */
export class DeltaSequence {
  #next = 0;

  /** `next` is to be used, `repeated` to be dropped; after a `gap` the answer cannot be trusted any more. */
  check(n: number): 'next' | 'repeated' | 'gap' {
    if (n < this.#next) return 'repeated';
    if (n > this.#next) return 'gap';
    this.#next++;
    return 'next';
  }
}
