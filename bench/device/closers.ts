/** What a bench has opened, closed at its end in reverse; takes the place of a test's context. */
export class Closers {
  readonly #closers: (() => unknown)[] = [];

  after = (close?: unknown): void => {
    if (typeof close === 'function') this.#closers.push(() => Reflect.apply(close, undefined, []));
  };

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }
}
