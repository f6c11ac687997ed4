const alpha = 0.2;

/** Tokens per second as an exponentially weighted mean, the newest sample weighing a fifth. */
export class Rate {
  #perSecond: number | undefined;

  /** Counts `tokens` computed in `ms`; nothing when either is too small to tell. */
  add(tokens: number, ms: number): void {
    if (tokens <= 0 || ms <= 0) return;
    const sample = (tokens * 1000) / ms;
    this.#perSecond = this.#perSecond === undefined ? sample : this.#perSecond + alpha * (sample - this.#perSecond);
  }

  /** Absent until something was measured. */
  get perSecond(): number | undefined {
    return this.#perSecond;
  }
}
