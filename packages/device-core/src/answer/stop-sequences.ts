/** What may be shown so far, and whether a stop text was met. */
export interface StopScan {
  readonly text: string;
  readonly stopped: boolean;
}

/** Cuts an answer at the first of its stop texts, wherever tokens split it; never shows a part of one. */
export class StopScanner {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Takes the next text; holds back an end that may begin a stop text. */
  push(text: string): StopScan {
    const all = this.#held + text;
    const cut = firstIndex(all, this.#stops);
    if (cut !== undefined) {
      this.#held = '';
      return { text: all.slice(0, cut), stopped: true };
    }
    const held = Math.max(0, ...this.#stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), stopped: false };
  }

  /** Gives back what was held: no stop text came of it. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

function firstIndex(text: string, stops: readonly string[]): number | undefined {
  const found = stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
  return found.length === 0 ? undefined : Math.min(...found);
}

/** Length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
