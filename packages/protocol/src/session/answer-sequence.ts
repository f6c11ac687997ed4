/** Watches that what is numbered of one request arrives once each, in order and not beyond its end. */
export class AnswerSequence {
  #next = 0;
  #isOver = false;

  /** The number expected next. */
  get next(): number {
    return this.#next;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** `next` is to be used, `repeated` to be dropped; after a `gap` the answer cannot be trusted any more. */
  take(n: number, isEnd = false): 'next' | 'repeated' | 'gap' {
    if (this.#isOver || n < this.#next) return 'repeated';
    if (n > this.#next) {
      this.#isOver = true;
      return 'gap';
    }
    this.#next++;
    this.#isOver = isEnd;
    return 'next';
  }
}
