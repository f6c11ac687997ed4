/** Tokens per second over the last runs; older ones fade, halved each 8 samples. */
export class Rate {
  #tokens = 0;
  #ms = 0;

  add(tokens: number, ms: number): void {
    if (tokens <= 0 || ms <= 0) return;
    this.#tokens = this.#tokens * fade + tokens;
    this.#ms = this.#ms * fade + ms;
  }

  /** Undefined until something was measured. */
  get perSecond(): number | undefined {
    return this.#ms === 0 ? undefined : (this.#tokens * 1000) / this.#ms;
  }
}

const fade = 0.5 ** (1 / 8);
