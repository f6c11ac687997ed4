import { LfoError, NoBackendError } from '../core/errors.ts';

/** OpenAI's error envelope with all four keys, and what SDKs show of ours, since they drop what stands beside it. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
    /** Whether our rules or a backend failed. */
    readonly source: 'lfo' | 'upstream';
    /** Why each candidate was passed over, where that is the error; the first is in the message too. */
    readonly skipped?: readonly { readonly backend: string; readonly why: string }[];
  };
}

/** The client's view of an error. */
export function errorBody(error: LfoError): ErrorBody {
  return {
    error: {
      message: error.message.toWellFormed(),
      type: errorType(error.status),
      param: error.param?.toWellFormed() ?? null,
      code: error.code,
      source: error.source,
      ...(error instanceof NoBackendError && error.skipped.length > 0 && { skipped: error.skipped }),
    },
  };
}

/** Anything thrown, as an error a client may see; what is not ours says nothing of itself. */
export function toLfoError(thrown: unknown): LfoError {
  if (thrown instanceof LfoError) return thrown;
  return new LfoError('Something went wrong inside LFO. Its log has the details under this request id.', {
    code: 'internal_error',
    status: 500,
    cause: thrown,
  });
}

/**
 * Headers that tell SDKs whether to try again; they retry 408, 409, 429 and 5xx on their own. A backend's failure has
 * been retried here already, so unless waiting helps the client must not multiply our attempts.
 */
export function retryHeaders(error: LfoError): Readonly<Record<string, string>> {
  if (error.retryAfterMs !== undefined && Number.isFinite(error.retryAfterMs)) {
    const ms = Math.max(0, Math.ceil(error.retryAfterMs));
    return { 'retry-after': String(Math.max(1, Math.ceil(ms / 1000))), 'retry-after-ms': String(ms) };
  }
  const sdkRetries = error.status >= 500 || error.status === 408 || error.status === 409 || error.status === 429;
  return sdkRetries && (!error.retryable || error.source === 'upstream') ? { 'x-should-retry': 'false' } : {};
}

function errorType(status: number): string {
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}
