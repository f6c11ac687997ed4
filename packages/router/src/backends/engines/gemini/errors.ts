import { z } from 'zod';
import type { BackendErrorInit, BackendFault } from '../../../core/errors.ts';
import { BackendError } from '../../../core/errors.ts';
import type { JsonValue } from '../../../core/json.ts';
import { parseJson } from '../../../core/json.ts';
import { quotaDelay } from './quota.ts';
import { type GoogleError, googleError } from './wire.ts';

/** A refusal by Gemini: the error for the client, and what the engine itself can do about it. */
export interface Refusal {
  readonly error: BackendError;
  /** Something of the request the model does not take after all, without which it may be asked once more. */
  readonly disliked?: 'penalties' | 'logprobs' | 'signatures' | 'thoughts';
  /** The key is spent for this long; `isPerModel` says that other models may still be asked with it. */
  readonly limit?: { readonly delayMs: number; readonly isPerModel: boolean };
  /** The key itself is refused. */
  readonly isKeyBad?: boolean;
}
const errorBody = z.object({ error: googleError });

/** Finds `{error}` in a parsed body, also as the first item of an array; `undefined` where there is none. */
export function findError(body: unknown): GoogleError | undefined {
  return errorBody.safeParse(Array.isArray(body) ? body[0] : body).data?.error;
}

export interface RefusalContext {
  readonly backend: string;
  /** Asked for. */
  readonly model: string;
  /** Unix milliseconds: daily quotas end at a certain hour. */
  readonly wallMs: number;
  /** `retry-after` in seconds, where a proxy sent one. */
  readonly retryAfter?: string | undefined;
}

/**
 * Reads an error answer, whatever its content type says. Nothing of its text goes into the error: it may quote the
 * prompt, the key or the project.
 */
export function readRefusal(status: number, text: string, context: RefusalContext): Refusal {
  return refusalOf(status, findError(parseBody(text)) ?? {}, context);
}

/** As `readRefusal`, for an error found inside an answer that began with status 200. */
export function refusalOf(httpStatus: number, error: GoogleError, context: RefusalContext): Refusal {
  const status = httpStatus >= 400 ? httpStatus : (error.code ?? 502);
  if (status === 429 || error.status === 'RESOURCE_EXHAUSTED') return limited(error, context);
  if (isKeyFault(status, error)) {
    const message = 'The cloud provider refused our credentials; check the API key and its permissions.';
    return { error: failure(context, 'auth', message), isKeyBad: true };
  }
  if (status === 400) return rejected(error, context);
  if (status === 404) {
    const message = 'The cloud provider does not know this model; choose one from its list.';
    return { error: failure(context, 'rejected', message, { status, code: 'model_not_found', param: 'model' }) };
  }
  if (status === 413 || status === 422) {
    return {
      error: failure(context, 'rejected', 'The request is too large for the cloud provider; shorten it.', { status }),
    };
  }
  if (status >= 500) {
    const init = { ...(handedOn.has(status) && { status }), ...(status === 504 && { code: 'upstream_timeout' }) };
    return { error: failure(context, 'server', 'The cloud provider failed; try again.', init) };
  }
  return { error: failure(context, 'bad_answer', 'The cloud provider answered with an unexpected status.') };
}

function limited(error: GoogleError, context: RefusalContext): Refusal {
  const limit = quotaDelay(error, context.retryAfter, context.wallMs);
  const message = limit.isDaily
    ? 'The daily quota of the cloud provider is used up; wait for its reset or configure another key.'
    : 'The cloud provider limits our rate; try again later.';
  const retryAfterMs = Math.ceil(limit.delayMs);
  const model = limit.isPerModel ? { model: context.model } : {};
  return { error: failure(context, 'rate_limit', message, { retryAfterMs, ...model }), limit };
}

/** Statuses that a client sees as they are. */
const handedOn: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** An invalid key comes as 400; a blocked project or place as FAILED_PRECONDITION. None is the client's fault. */
function isKeyFault(status: number, { status: name, message, details }: GoogleError): boolean {
  if (status === 401 || status === 403 || name === 'UNAUTHENTICATED' || name === 'PERMISSION_DENIED') return true;
  if (name === 'FAILED_PRECONDITION') return true;
  const hasReason = details?.some(({ reason }) => typeof reason === 'string' && reason.startsWith('API_KEY_')) === true;
  return hasReason || /api key (not valid|not found|expired)/i.test(message ?? '');
}

function rejected(error: GoogleError, context: RefusalContext): Refusal {
  const text = error.message ?? '';
  if (/token count .*exceeds|exceeds the maximum number of tokens|input context is too long/i.test(text)) {
    const message = 'The prompt is longer than the context of this model; shorten it.';
    return { error: failure(context, 'rejected', message, { code: 'context_length_exceeded', param: 'messages' }) };
  }
  const field = violatedField(error);
  const where = field === undefined ? '' : ` It names the field ${field}.`;
  const message = `The cloud provider rejected the request as invalid; change its parameters, tools or messages.${where}`;
  const disliked = dislikes.find(([pattern]) => pattern.test(text))?.[1];
  const refusal = { error: failure(context, 'rejected', message, { code: 'upstream_invalid_request' }) };
  return disliked === undefined ? refusal : { ...refusal, disliked };
}

/** Gemini says in words alone which feature a model lacks. */
const dislikes: readonly (readonly [RegExp, NonNullable<Refusal['disliked']>])[] = [
  [/penalty/i, 'penalties'],
  [/logprobs/i, 'logprobs'],
  [/thought[ _]?signature/i, 'signatures'],
  [/include[ _]?thoughts|thinking/i, 'thoughts'],
];

/** A path of Gemini's own field names and nothing else. */
function violatedField({ details }: GoogleError): string | undefined {
  for (const detail of details ?? []) {
    const violations = Array.isArray(detail['fieldViolations']) ? detail['fieldViolations'] : [];
    const field: unknown = violations[0]?.field;
    if (typeof field === 'string' && /^[a-z_]+(\[\d+\])?(\.[a-z_]+(\[\d+\])?){0,12}$/.test(field)) return field;
  }
  return undefined;
}

function failure(
  { backend }: RefusalContext,
  fault: BackendFault,
  message: string,
  init: Partial<BackendErrorInit> = {},
): BackendError {
  return new BackendError(message, { ...init, fault, backend });
}

/** A stream's error may be a bare JSON body or the data of an event. */
function parseBody(text: string): JsonValue | undefined {
  return parseJson(text) ?? parseJson(text.replaceAll(/^data: ?/gm, ''));
}
