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

/** What an engine tells of its speed: what was measured, and nothing else. */
export function ratesOf(prefill: Rate, decode: Rate): { readonly prefill?: number; readonly decode?: number } {
  const [read, written] = [prefill.perSecond, decode.perSecond];
  return { ...(read === undefined ? {} : { prefill: read }), ...(written === undefined ? {} : { decode: written }) };
}
