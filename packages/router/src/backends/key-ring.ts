import type { Clock } from '../core/clock.ts';
import { BackendError, longestPauseMs } from '../core/errors.ts';

/** One key and when it may be used again. Times are monotonic. */
interface KeyState {
  readonly secret: string | undefined;
  /** Every model. */
  notBeforeMs: number;
  /** By model, where a quota is a model's own. */
  readonly modelNotBeforeMs: Map<string, number>;
  /** Refusals of the key itself in a row. */
  refusals: number;
}

/** A key taken for one try; its result belongs to it. */
export interface KeyPermit {
  /** Absent for a server that takes no key. */
  readonly secret: string | undefined;
  succeeded(): void;
  /** No call with this key, or with this key and model, before the delay is over. */
  limited(limit: KeyLimit): void;
  /** The key was refused: it rests, longer each time, so that a permission granted later is noticed. */
  refused(): void;
}

/** How long a key is not to be used. */
export interface KeyLimit {
  readonly delayMs: number;
  /** Only for this model. */
  readonly isPerModel: boolean;
}

const noneTried: ReadonlySet<string | undefined> = new Set();

const firstRestMs = 60_000;
const longestRestMs = 3_600_000;

/**
 * The keys of one provider account or several. Stays with a key as long as it serves: its caches are warm, and spreading
 * calls over keys would exhaust all of them together. A server that takes no key has one that is absent.
 */
export class KeyRing {
  readonly #backend: string;
  readonly #clock: Clock;
  readonly #keys: readonly KeyState[];
  #current = 0;

  constructor(backend: string, secrets: readonly string[], clock: Clock) {
    this.#backend = backend;
    this.#clock = clock;
    const held = secrets.length === 0 ? [undefined] : secrets;
    this.#keys = held.map((secret) => ({ secret, notBeforeMs: 0, modelNotBeforeMs: new Map(), refusals: 0 }));
  }

  /**
   * Takes the first key that may be used for the model, other than those tried.
   * @throws BackendError `rate_limit` with the time of the earliest one, or `auth` when all were refused
   */
  take(model: string, tried = noneTried): KeyPermit {
    const nowMs = this.#clock.nowMs();
    for (let step = 0; step < this.#keys.length; step++) {
      const index = (this.#current + step) % this.#keys.length;
      const key = this.#keys[index];
      if (key === undefined || opensMs(key, model) > nowMs || tried.has(key.secret)) continue;
      this.#current = index;
      return this.#permit(key, model);
    }
    throw this.#exhausted(model, nowMs);
  }

  get size(): number {
    return this.#keys.length;
  }

  /** How many keys are at rest because they were refused. */
  get refused(): number {
    return this.#keys.filter((key) => key.refusals > 0).length;
  }

  #permit(key: KeyState, model: string): KeyPermit {
    return {
      secret: key.secret,
      succeeded: () => {
        key.refusals = 0;
      },
      limited: ({ delayMs, isPerModel }) => {
        const untilMs = this.#clock.nowMs() + Math.min(longestPauseMs, delayMs);
        if (isPerModel) key.modelNotBeforeMs.set(model, Math.max(untilMs, key.modelNotBeforeMs.get(model) ?? 0));
        else key.notBeforeMs = Math.max(untilMs, key.notBeforeMs);
      },
      refused: () => {
        if (key.secret === undefined) return;
        const restMs = Math.min(longestRestMs, firstRestMs * 2 ** key.refusals);
        key.refusals++;
        key.notBeforeMs = Math.max(this.#clock.nowMs() + restMs, key.notBeforeMs);
      },
    };
  }

  #exhausted(model: string, nowMs: number): BackendError {
    const limited = this.#keys.filter((key) => key.refusals === 0);
    if (limited.length === 0) {
      const message = 'The provider refused our credentials; check the API key and its permissions.';
      return new BackendError(message, { fault: 'auth', backend: this.#backend });
    }
    const retryAfterMs = Math.max(1, Math.ceil(Math.min(...limited.map((key) => opensMs(key, model))) - nowMs));
    const message = 'The provider limits our rate; try again later.';
    const isModelAlone = limited.every(({ notBeforeMs }) => notBeforeMs <= nowMs);
    const only = isModelAlone ? { model } : {};
    return new BackendError(message, { fault: 'rate_limit', backend: this.#backend, retryAfterMs, ...only });
  }
}

function opensMs(key: KeyState, model: string): number {
  return Math.max(key.notBeforeMs, key.modelNotBeforeMs.get(model) ?? 0);
}
