import type { Attempt as PlannedAttempt } from '../core/backend.ts';
import { BackendError, LfoError, NoBackendError, preemptedCode } from '../core/errors.ts';
import type { Tier } from '../core/request.ts';

/** Decides whether a backend that has failed a request is worth another call of it. */
export interface Retries {
  /** Milliseconds to wait before that call, or `undefined` for none; what it grants is spent from the budget. */
  delayBeforeRetry(error: BackendError, retriesSoFar: number): number | undefined;
  /** Whether a backend that has failed a request may be asked for another of its models; what it grants is spent. */
  grantsStandIn(retriesSoFar: number): boolean;
}

/** One try as it will be made. */
export interface Step {
  readonly attempt: PlannedAttempt;
  /** Backends that have already failed this request. */
  readonly exclude: ReadonlySet<string>;
  readonly delayMs: number;
  /** The model is held to a call by its grammar. */
  readonly isCallForced?: true;
}

/**
 * The tries of one request: the decision's attempts in order; after a failure another backend of the same tier, else
 * the next tier, else the same backend again where the retry budget allows. The one place that decides on retries.
 */
export class Plan {
  readonly #attempts: PlannedAttempt[];
  readonly #retries: Retries;
  /** Whether a backend outside the set could take the attempt now. */
  readonly #hasCandidate: (attempt: PlannedAttempt, exclude: ReadonlySet<string>) => boolean;
  readonly #excluded = new Set<string>();
  /** The last failure of each backend; those that no call was made to are not among them. */
  readonly #failures = new Map<string, LfoError>();
  /** Tiers in which nobody was asked, for a limit of the model asked for. */
  readonly #limited = new Set<Tier>();
  #next: Step | undefined;
  #retriesSoFar = 0;
  #error: LfoError | undefined;

  constructor(
    attempts: readonly PlannedAttempt[],
    retries: Retries,
    hasCandidate: (attempt: PlannedAttempt, exclude: ReadonlySet<string>) => boolean,
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

  /** The cloud's try behind a local one that may be held back; undefined where the next one is no such try. */
  get behindGate(): Step | undefined {
    if (this.#next?.attempt.gated !== true) return undefined;
    const attempt = this.#attempts.find(({ tier, isStandIn }) => tier === 'cloud' && isStandIn !== true);
    return attempt === undefined ? undefined : { attempt, exclude: new Set(), delayMs: 0 };
  }

  /**
   * What to tell the client when every try has failed: the first failure of a backend, else the refusal of the last one
   * that would not have the request, else why none could be asked.
   */
  get error(): LfoError | undefined {
    return this.#error;
  }

  /** Whether another backend could take the request if the one of this try failed now. */
  hasOther(step: Step, backend: string): boolean {
    const excluded = new Set([...this.#excluded, backend]);
    const isPinned = step.attempt.isStandIn === true;
    if (!isPinned && this.#hasCandidate(step.attempt, excluded)) return true;
    return this.#attempts.some((attempt) => attempt.isStandIn !== true && this.#hasCandidate(attempt, excluded));
  }

  /** The gate did not let the answer pass: on to the next tier, if there is one. */
  escalated(): boolean {
    return this.#advance();
  }

  /** The backend made a call that cannot be used: once more, while it has the prompt in its cache, held to a proper one. */
  forceCall({ attempt, exclude }: Step, backend: string, model: string | undefined): void {
    const again = { ...attempt, backend, ...(model !== undefined && { model }) };
    this.#next = { attempt: again, exclude, delayMs: 0, isCallForced: true };
  }

  /** Adds a try for when everything else has failed. */
  addLastResort(attempt: PlannedAttempt): void {
    this.#attempts.push(attempt);
  }

  /**
   * Takes note of a failure before the commit point and plans on.
   * @param backend the one that failed; absent: none was found
   * @returns false when nothing is left that could do better
   */
  failed(step: Step, error: unknown, backend: string | undefined): boolean {
    if (!(error instanceof LfoError)) return false;
    if (error.code === preemptedCode) return this.#plan(step.attempt, 0);
    this.#note(error);
    if (backend === undefined) return error instanceof NoBackendError && this.#passedOver(step, error);
    if (error.code === fatalCode) return false;
    this.#excluded.add(backend);
    this.#failures.set(backend, error);
    // Another one has not failed, so it is asked without a retry budget.
    const isPinned = step.attempt.isStandIn === true;
    if (!isPinned && this.#hasCandidate(step.attempt, this.#excluded)) return this.#plan(step.attempt, 0);
    if (this.#advance()) return true;
    if (!(error instanceof BackendError)) return false;
    const delayMs = this.#retries.delayBeforeRetry(error, this.#retriesSoFar);
    if (delayMs === undefined) return false;
    this.#retriesSoFar++;
    this.#excluded.delete(backend);
    return this.#plan(step.attempt, delayMs);
  }

  /** Nobody was asked. A tier that was only full is waited for once everything else has failed. */
  #passedOver({ attempt }: Step, error: NoBackendError): boolean {
    if (error.status === 429) this.#limited.add(attempt.tier);
    if (attempt.gated && error.code === overloadedCode) this.addLastResort({ ...attempt, gated: false });
    return this.#advance();
  }

  #note(error: LfoError): void {
    const [known, now] = [weightOf(this.#error), weightOf(error)];
    if (now > known || (now === known && now === refusal)) this.#error = error;
  }

  #plan(attempt: PlannedAttempt, delayMs: number): true {
    this.#next = { attempt, exclude: this.#excluded, delayMs };
    return true;
  }

  #advance(): boolean {
    for (let attempt = this.#attempts.shift(); attempt !== undefined; attempt = this.#attempts.shift()) {
      if (attempt.isStandIn !== true || this.#mayStandIn(attempt)) return this.#plan(attempt, 0);
    }
    return false;
  }

  /** Whether the model before it was what failed; the call is paid for like any other of a backend that has failed. */
  #mayStandIn({ backend, tier }: PlannedAttempt): boolean {
    const failure = backend === undefined ? undefined : this.#failures.get(backend);
    if (failure === undefined) return this.#limited.has(tier);
    if (!isOfTheModel(failure) || !this.#retries.grantsStandIn(this.#retriesSoFar)) return false;
    this.#retriesSoFar++;
    return true;
  }
}

/** Limited, broken or unknown: another model of the same backend may do better. */
function isOfTheModel(error: LfoError): boolean {
  if (!(error instanceof BackendError)) return false;
  return error.fault === 'rate_limit' || error.fault === 'server' || error.status === 404;
}

const overloadedCode = 'overloaded';

/** A request that an engine died of is not handed to the next one. */
const fatalCode = 'schema_too_complex';

const refusal = 2;

/** How much an error says: that one backend refused the request matters only while no other has failed. */
function weightOf(error: LfoError | undefined): number {
  if (error === undefined) return 0;
  if (error instanceof NoBackendError) return 1;
  return error instanceof BackendError && error.fault !== 'rejected' ? 3 : refusal;
}
