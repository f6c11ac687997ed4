/** An answer that is an error, as the wire carries it. */
export interface FakeRefusal {
  readonly status: number;
  readonly body: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
}

/** Never to be found outside the upstream's own answers. */
export const upstreamSecret = 'upstream-secret-7f3a';

/** A Google error; `details` as Google's RPC error model has them. */
export function refusal(status: number, name: string, message: string, details: readonly object[] = []): FakeRefusal {
  return {
    status,
    body: { error: { code: status, message: `${message} (${upstreamSecret})`, status: name, details } },
  };
}

/** A spent quota with its delay, and with the quota's name where it has one. */
export function rateLimit(retryDelay: string | undefined, quotaId?: string): FakeRefusal {
  return refusal(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota.', [
    ...(quotaId === undefined
      ? []
      : [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [{ quotaId }] }]),
    ...(retryDelay === undefined ? [] : [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay }]),
  ]);
}

/** As the Gemini API answers a key it does not know: with 400. */
export function invalidKey(): FakeRefusal {
  return refusal(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'API_KEY_INVALID', domain: 'googleapis.com' },
  ]);
}

/** The same refusal with its body in an array. */
export function inArray(inner: FakeRefusal): FakeRefusal {
  return { ...inner, body: [inner.body] };
}

/** The same refusal under the type of an event stream, its body still plain JSON. */
export function asEventStream(inner: FakeRefusal): FakeRefusal {
  return { ...inner, contentType: 'text/event-stream' };
}
