/** A link that lived so long was a good one: the next loss begins anew. */
const goodLinkMs = 60_000;
const firstStepMs = 500;
const longestStepMs = 30_000;

/** What to do after a link has ended with a code of the router's, of the link's or of the handshake's. */
export type Redial = { readonly type: 'again'; readonly afterMs: number } | { readonly type: 'never' };

/** Decides when a device dials again: at once after the first loss, later with full jitter (device protocol 1, section 5). */
export class Redialling {
  readonly #random: () => number;
  #losses = 0;

  /** `random`: 0..1, uniform. */
  constructor(random: () => number) {
    this.#random = random;
  }

  after(code: string, livedMs: number): Redial {
    if (livedMs >= goodLinkMs) this.#losses = 0;
    switch (code) {
      case 'revoked':
      case 'pairing_refused':
        return { type: 'never' };
      case 'replaced':
        return { type: 'again', afterMs: 30_000 };
      case 'duplicate_identity':
      case 'unknown_key':
        return { type: 'again', afterMs: 300_000 };
      case 'unsupported_version':
        return { type: 'again', afterMs: 3_600_000 };
      default: {
        const stepMs = this.#losses === 0 ? firstStepMs : Math.min(longestStepMs, firstStepMs * 2 ** this.#losses);
        this.#losses++;
        return { type: 'again', afterMs: this.#random() * stepMs };
      }
    }
  }
}
