import type { Reason } from './reason.ts';

/** Who failed: our own rules, or a backend behind us. */
export type ErrorSource = 'lfo' | 'upstream';

export interface LfoErrorInit {
  /** snake_case, stable; clients branch on it. */
  readonly code: string;
  /** HTTP status towards the client. */
  readonly status: number;
  /** Whether another attempt may succeed. Default false. */
  readonly retryable?: boolean;
  readonly source?: ErrorSource;
  /** Path of the offending request field (`messages[2].role`). */
  readonly param?: string;
  /** Milliseconds after which a retry makes sense. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * Base of every error that may reach a client. The message says what to do next and never holds a prompt, a key,
 * a host, an upstream body or a stack.
 */
export class LfoError extends Error {
  override readonly name: string = 'LfoError';
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly source: ErrorSource;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, init: LfoErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.status = init.status;
    this.retryable = init.retryable ?? false;
    this.source = init.source ?? 'lfo';
    this.param = init.param;
    this.retryAfterMs = init.retryAfterMs;
  }
}

/** The request itself is at fault (400 unless said otherwise); no backend would do better. */
export class RequestError extends LfoError {
  override readonly name = 'RequestError';

  constructor(message: string, init: Partial<LfoErrorInit> = {}) {
    super(message, { code: 'invalid_request', status: 400, ...init });
  }
}

/** What kind of fault a backend showed; decides fail-over, retry and what the breaker counts. */
export type BackendFault =
  /** Refused, reset, DNS, black-holed: nothing was answered. */
  | 'connect'
  /** First-token, idle or total budget ran out. */
  | 'timeout'
  /** Stream cut after it had begun. */
  | 'cut'
  /** 5xx, or the engine died. */
  | 'server'
  /** Not what the wire promises: HTML, broken JSON, broken SSE. */
  | 'bad_answer'
  /** 429 or quota. */
  | 'rate_limit'
  /** 401/403 at the backend: our key is wrong, never the client's. */
  | 'auth'
  /** 400, 404, 413, 422 from the backend: this request will not do here. */
  | 'rejected'
  /** The backend answered, and the answer is unusable (malformed call, empty where not allowed). */
  | 'unusable'
  /** Queue full or host gated; try another. */
  | 'busy';

export interface BackendErrorInit extends Partial<LfoErrorInit> {
  readonly fault: BackendFault;
  /** Id of the backend; for records and metadata, never for messages. */
  readonly backend: string;
  /** The fault is this model's alone: the backend's other models may still be asked. */
  readonly model?: string;
  /** Where a backend of the local tier says that it sent the prompt. */
  readonly egress?: string;
}

/**
 * Nobody is left alone for longer than a day on its own word: no quota lasts longer, and a server that means a date by
 * its seconds would be asked no more until LFO is restarted.
 */
export const longestPauseMs = 86_400_000;

/** A backend failed. `status` is the one the client sees if nothing else answers. */
export class BackendError extends LfoError {
  override readonly name = 'BackendError';
  readonly fault: BackendFault;
  readonly backend: string;
  /** Set where only this model of the backend is affected. */
  readonly model: string | undefined;
  /** Set where the prompt left the own network though it must not. */
  readonly egress: string | undefined;

  constructor(message: string, init: BackendErrorInit) {
    const defaults = backendFaults[init.fault];
    const { retryAfterMs } = init;
    const pause = retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(longestPauseMs, retryAfterMs) };
    super(message, { source: 'upstream', ...defaults, ...init, ...pause });
    this.fault = init.fault;
    this.backend = init.backend;
    this.model = init.model;
    this.egress = init.egress;
  }

  /** Whether a circuit breaker counts it: only what speaks of the backend's health, never 4xx or an odd answer. */
  get countsAgainstBackend(): boolean {
    return backendFaults[this.fault].counts;
  }
}

/** An interactive request took the place of one in the background, which is queued again as if it had never run. */
export const preemptedCode = 'preempted';

const backendFaults: Readonly<
  Record<BackendFault, { code: string; status: number; retryable: boolean; counts: boolean }>
> = {
  connect: { code: 'upstream_unreachable', status: 503, retryable: true, counts: true },
  timeout: { code: 'upstream_timeout', status: 504, retryable: true, counts: true },
  cut: { code: 'upstream_cut', status: 502, retryable: true, counts: true },
  server: { code: 'upstream_error', status: 502, retryable: true, counts: true },
  bad_answer: { code: 'upstream_bad_answer', status: 502, retryable: true, counts: true },
  rate_limit: { code: 'rate_limit_exceeded', status: 429, retryable: true, counts: false },
  auth: { code: 'upstream_auth', status: 502, retryable: false, counts: false },
  rejected: { code: 'upstream_rejected', status: 400, retryable: false, counts: false },
  unusable: { code: 'upstream_unusable_answer', status: 502, retryable: true, counts: false },
  busy: { code: 'overloaded', status: 503, retryable: true, counts: false },
};

/** Code of a call that cannot be read, whatever is done about it. */
export const malformedCall = 'malformed_tool_call';

/** No backend could take the request; `skipped` says why for each candidate, and the message why the first was not taken. */
export class NoBackendError extends LfoError {
  override readonly name = 'NoBackendError';
  readonly skipped: readonly { readonly backend: string; readonly why: string }[];
  readonly reason: Reason;

  constructor(
    message: string,
    init: Partial<LfoErrorInit> & { reason: Reason; skipped: readonly { backend: string; why: string }[] },
  ) {
    const [first] = init.skipped;
    const cause = first === undefined ? '' : ` (${first.backend}: ${first.why.replace(/\.$/, '')})`;
    super(`${message}${cause}`, { code: 'no_backend_available', status: 503, retryable: true, ...init });
    this.skipped = init.skipped;
    this.reason = init.reason;
  }
}

/** The client went away; nobody reads the answer. Logged as 499. */
export class ClientGoneError extends LfoError {
  override readonly name = 'ClientGoneError';

  constructor() {
    super('The client closed the connection.', { code: 'client_closed_request', status: 499 });
  }
}

/** A key was revoked while a request under it was served. */
export function keyRevoked(): LfoError {
  return new LfoError('This key was revoked.', { code: 'invalid_api_key', status: 401 });
}

/** The process is ending: nothing new is begun, and what outlasts the grace period is cut off. */
export function shuttingDown(): LfoError {
  return new LfoError('LFO is shutting down: try again in a moment.', {
    code: 'shutting_down',
    status: 503,
    retryable: true,
    retryAfterMs: 1000,
  });
}

/** Neither a backend's fault nor worth a retry: the client's own time is over. */
export function deadlineExceeded(): LfoError {
  return new LfoError('The deadline of the request is over; allow more time or ask for a shorter answer.', {
    code: 'deadline_exceeded',
    status: 504,
  });
}
