const replacement = '\uFFFD';
/** A model that writes nothing but broken bytes must not be held for ever. */
const maxPending = 32;

/**
 * Joins tokens into text without splitting a character: bytes of an unfinished one are held until the rest comes.
 * The pieces concatenated are the text of all tokens together.
 */
export class TokenDecoder<T> {
  readonly #detokenize: (tokens: readonly T[], before: readonly T[]) => string;
  #before: readonly T[] = [];
  #pending: T[] = [];
  #emitted = 0;

  /** `detokenize` turns tokens into text, broken bytes into U+FFFD; `before` are the tokens they follow. */
  constructor(detokenize: (tokens: readonly T[], before: readonly T[]) => string) {
    this.#detokenize = detokenize;
  }

  /** The text that became certain with this token; often all of it, sometimes none. */
  push(token: T): string {
    this.#pending.push(token);
    const text = this.#detokenize(this.#pending, this.#before);
    if (!text.endsWith(replacement) || this.#pending.length >= maxPending) return this.#finish(text);
    let certain = text.length;
    while (certain > 0 && text[certain - 1] === replacement) certain -= 1;
    const piece = text.slice(this.#emitted, certain);
    this.#emitted = Math.max(this.#emitted, certain);
    return piece;
  }

  /** What is still held, however broken. */
  end(): string {
    return this.#pending.length === 0 ? '' : this.#finish(this.#detokenize(this.#pending, this.#before));
  }

  #finish(text: string): string {
    const piece = text.slice(this.#emitted);
    this.#before = this.#pending;
    this.#pending = [];
    this.#emitted = 0;
    return piece;
  }
}
