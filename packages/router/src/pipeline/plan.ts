import type { Attempt } from '../core/backend.ts';
import { BackendError, LfoError, NoBackendError } from '../core/errors.ts';

/** Decides whether one more try is worth its load on the upstreams. */
export interface Retries {
  /** Milliseconds to wait before a further try, or `undefined` for none; what it grants is spent from the budget. */
  delayBeforeRetry(error: BackendError, retriesSoFar: number, sameBackend: boolean): number | undefined;
}

/** One try as it will be made. */
export interface Step {
  readonly attempt: Attempt;
  /** Backends that have already failed this request. */
  readonly exclude: ReadonlySet<string>;
  readonly delayMs: number;
}

/**
 * The tries of one request: the decision's attempts in order; after a failure another backend of the same tier, else
 * the next tier, else the same backend again where the retry budget allows. The one place that decides on retries.
 */
export class Plan {
  readonly #attempts: Attempt[];
  readonly #retries: Retries;
  /** Whether a backend outside the set could take the attempt now. */
  readonly #hasCandidate: (attempt: Attempt, exclude: ReadonlySet<string>) => boolean;
  readonly #excluded = new Set<string>();
  #next: Step | undefined;
  #retriesSoFar = 0;
  #firstError: LfoError | undefined;

  constructor(
    attempts: readonly Attempt[],
    retries: Retries,
    hasCandidate: (attempt: Attempt, exclude: ReadonlySet<string>) => boolean,
  ) {
    this.#attempts = [...attempts];
    this.#retries = retries;
    this.#hasCandidate = hasCandidate;
    this.#advance();
  }

  /** Takes the next try off the plan. */
  take(): Step | undefined {
    const step = this.#next;
    this.#next = undefined;
    return step;
  }

  /** What to tell the client when every try has failed: the first failure of a backend says more than the last. */
  get error(): LfoError | undefined {
    return this.#firstError;
  }

  /** The gate did not let the answer pass: on to the next tier. */
  escalated(): void {
    this.#advance();
  }

  /** Adds a try for when everything else has failed. */
  addLastResort(attempt: Attempt): void {
    this.#attempts.push(attempt);
  }

  /**
   * Takes note of a failure before the commit point and plans on.
   * @returns false when the request itself is at fault or nothing is left to try
   */
  failed(step: Step, error: unknown, backend: string | undefined): boolean {
    if (!(error instanceof LfoError)) return false;
    if (error instanceof NoBackendError || !(error instanceof BackendError) || backend === undefined) {
      this.#firstError ??= error;
      return error instanceof NoBackendError && this.#advance();
    }
    if (this.#firstError === undefined || this.#firstError instanceof NoBackendError) this.#firstError = error;
    this.#excluded.add(backend);
    if (error.fault !== 'rejected' && this.#hasCandidate(step.attempt, this.#excluded)) {
      if (this.#retry(step.attempt, error, false)) return true;
    }
    if (this.#advance()) return true;
    if (!error.retryable || !this.#retry(step.attempt, error, true)) return false;
    this.#excluded.delete(backend);
    return true;
  }

  #retry(attempt: Attempt, error: BackendError, sameBackend: boolean): boolean {
    const delayMs = this.#retries.delayBeforeRetry(error, this.#retriesSoFar, sameBackend);
    if (delayMs === undefined) return false;
    this.#retriesSoFar++;
    this.#next = { attempt, exclude: this.#excluded, delayMs };
    return true;
  }

  #advance(): boolean {
    const attempt = this.#attempts.shift();
    if (attempt === undefined) return false;
    this.#next = { attempt, exclude: this.#excluded, delayMs: 0 };
    return true;
  }
}
