/** Tokens that an engine hands over by callback, to be read in order; ends or fails once. */
export class TokenStream<T> {
  readonly #items: T[] = [];
  #end: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#end ??= {};
    this.#wake?.();
  }

  /** What has been pushed before is still read, unless `now`. */
  fail(error: unknown, now = false): void {
    this.#end ??= { error };
    if (now) this.#items.length = 0;
    this.#wake?.();
  }

  /** Ends as the answer ends whose tokens these are; never rejects. */
  async follow(answering: Promise<unknown>): Promise<void> {
    try {
      await answering;
      this.end();
    } catch (error) {
      this.fail(error);
    }
  }

  /** @throws what it failed with */
  async *read(): AsyncGenerator<T, void, void> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#end === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if ('error' in this.#end) throw this.#end.error;
      else return;
    }
  }
}
