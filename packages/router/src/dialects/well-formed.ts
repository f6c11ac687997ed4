/**
 * Makes streamed text well-formed Unicode: a surrogate pair split across two deltas is joined again, a lone surrogate
 * becomes U+FFFD. One for each channel of text.
 */
export class WellFormedText {
  #held = '';

  /** The text that is certain by now; empty where only half a character has come. */
  push(text: string): string {
    const joined = this.#held + text;
    const last = joined.charCodeAt(joined.length - 1);
    const endsHalf = last >= 0xd800 && last <= 0xdbff;
    this.#held = endsHalf ? joined.slice(-1) : '';
    return (endsHalf ? joined.slice(0, -1) : joined).toWellFormed();
  }

  /** What is left at the end. */
  end(): string {
    const rest = this.#held.toWellFormed();
    this.#held = '';
    return rest;
  }
}
