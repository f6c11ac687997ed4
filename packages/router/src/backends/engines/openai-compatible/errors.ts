import type { Clock } from '../../../core/clock.ts';
import { BackendError, type BackendErrorInit } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../../core/json.ts';
import type { HttpResponse } from '../../http/client.ts';

/** Maps an answer whose status is not 2xx; the body's text serves to tell kinds apart and is never passed on. */
export function errorOfStatus(
  { status, headers }: Pick<HttpResponse, 'status' | 'headers'>,
  text: string,
  backend: string,
  clock: Pick<Clock, 'wallMs'>,
): BackendError {
  const detail = errorObject(parseJson(text)) ?? {};
  const retryAfterMs = retryAfterOf(headers, clock) ?? retryInfoOf(detail);
  return mapped(status, detail, backend, retryAfterMs);
}

/** The error that a chunk, or a body with a good status, turns out to be; `undefined` when it is none. */
export function errorInAnswer(value: JsonValue | undefined, backend: string): BackendError | undefined {
  const detail = errorObject(value);
  if (detail === undefined) return undefined;
  const status = Number(detail['code'] ?? detail['status'] ?? (isTooLong(detail) ? 400 : 500));
  return mapped(status >= 400 && status <= 599 ? status : 500, detail, backend, retryInfoOf(detail));
}

/** `{error: {…}}`, `{error: "text"}`, or either in an array, as Google's layer sends it. */
function errorObject(value: JsonValue | undefined): JsonObject | undefined {
  const body = Array.isArray(value) ? value[0] : value;
  if (!isJsonObject(body)) return undefined;
  // SGLang, and vLLM before it had an envelope.
  if (body['object'] === 'error') return body;
  const { error } = body;
  if (error === undefined || error === null) return undefined;
  return isJsonObject(error) ? error : { message: error };
}

function mapped(status: number, detail: JsonObject, backend: string, retryAfterMs: number | undefined): BackendError {
  const { message, ...init } = kindOf(status, detail);
  return new BackendError(message, { ...init, backend, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

type Kind = { readonly message: string } & Omit<BackendErrorInit, 'backend'>;

function kindOf(status: number, detail: JsonObject): Kind {
  if (status === 401 || status === 402 || status === 403 || isBadKey(detail)) {
    return {
      fault: 'auth',
      message: 'The backend refused the key or the account configured for it; check its api_key.',
    };
  }
  if (status === 429)
    return { fault: 'rate_limit', message: 'The backend limits the rate of requests; try again later.' };
  // Another LFO tells a full one from a sick one, and circles from both.
  if (status === 503 && detail['code'] === 'overloaded') {
    return { fault: 'busy', message: 'The backend is busy; try again later.' };
  }
  if (status === 508) {
    return {
      fault: 'rejected',
      status,
      code: 'loop_detected',
      message: 'The request goes in circles among LFOs: look for a backend of kind lfo that leads back.',
    };
  }
  if (status === 503 || status === 504) {
    return { fault: 'server', status, message: 'The backend is overloaded or starting; try again later.' };
  }
  if (status >= 500 || status === 408) return { fault: 'server', message: 'The backend failed to answer; try again.' };
  if (detail['code'] === 'context_length_exceeded' || (status === 400 && isTooLong(detail))) {
    return {
      fault: 'rejected',
      status: 400,
      code: 'context_length_exceeded',
      message: 'The prompt is longer than the model can take; shorten it.',
    };
  }
  if (status === 404) {
    return {
      fault: 'rejected',
      status,
      code: 'model_not_found',
      message: 'The backend does not know the model; see GET /v1/models.',
    };
  }
  if (status === 400 || status === 413 || status === 422) {
    return {
      fault: 'rejected',
      status,
      message: 'The backend refused the request; check its parameters against what the model takes.',
    };
  }
  return { fault: 'bad_answer', message: 'The backend answered with an unexpected status; check its base URL.' };
}

/** Most local servers say so in words alone. */
function isTooLong({ message }: JsonObject): boolean {
  return typeof message === 'string' && tooLong.test(message);
}

/** Of vLLM, SGLang, llama-server and, the last two, LM Studio. */
const tooLong =
  /maximum context length|longer than the model's context length|exceeds the available context size|greater than the context length|loaded with context length of only/i;

/** Whether it is the limit for the answer that does not fit, as vLLM and clouds say. */
export function isLimitTooLarge(text: string): boolean {
  return /max_(completion_)?tokens[^.]{0,40} too large|\d+ in the completion\b/i.test(text);
}

/** Google's layer says so with a 400. */
function isBadKey({ details }: JsonObject): boolean {
  return (
    Array.isArray(details) &&
    details.some((detail: JsonValue) => isJsonObject(detail) && detail['reason'] === 'API_KEY_INVALID')
  );
}

/** RFC 9110, section 10.2.3: seconds or a date; the milliseconds of OpenAI's SDKs win. */
function retryAfterOf(headers: HttpResponse['headers'], clock: Pick<Clock, 'wallMs'>): number | undefined {
  const inMs = Number(headers['retry-after-ms']);
  if (headers['retry-after-ms'] !== undefined && Number.isFinite(inMs) && inMs >= 0) return inMs;
  const value = headers['retry-after'];
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1000 : undefined;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - clock.wallMs());
}

/** `RetryInfo` of Google's error details: `"34.4s"`. */
function retryInfoOf({ details }: JsonObject): number | undefined {
  if (!Array.isArray(details)) return undefined;
  for (const detail of details) {
    const delay = isJsonObject(detail) ? detail['retryDelay'] : undefined;
    const seconds = typeof delay === 'string' && delay.endsWith('s') ? Number(delay.slice(0, -1)) : Number.NaN;
    if (Number.isFinite(seconds) && seconds >= 0) return seconds * 1000;
  }
  return undefined;
}
