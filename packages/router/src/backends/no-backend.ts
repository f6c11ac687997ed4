import type { Attempt } from '../core/backend.ts';
import { NoBackendError } from '../core/errors.ts';
import type { Reason } from '../core/reason.ts';
import type { Tier } from '../core/request.ts';
import type { Skip, SkipKind } from './eligibility.ts';

interface Verdict {
  readonly message: string;
  readonly code: string;
  readonly status: number;
  readonly reason: Reason;
  /** The field of the request that nobody takes. */
  readonly param?: string;
}

/** Tells why nobody could take an attempt, by the reason nearest to a remedy. */
export function noBackendError(attempt: Attempt, skips: readonly Skip[]): NoBackendError {
  const { message, reason, ...verdict } = verdictOn(attempt, skips);
  const waits = skips.flatMap(({ waitMs }) => waitMs ?? []);
  return new NoBackendError(message, {
    ...verdict,
    reason,
    retryable: verdict.status >= 429,
    skipped: skips.map(({ backend, why }) => ({ backend, why })),
    ...(waits.length === 0 ? {} : { retryAfterMs: Math.max(1, Math.min(...waits)) }),
  });
}

/** The queue is full, or the wait in it was too long. */
export function overloadedError(attempt: Attempt, skips: readonly Skip[]): NoBackendError {
  return new NoBackendError('Every backend is at its limit; try again in a moment.', {
    code: 'overloaded',
    status: 503,
    retryAfterMs: 1000,
    reason: unavailable(attempt.tier),
    skipped: skips.map(({ backend, why }) => ({ backend, why })),
  });
}

function verdictOn({ tier, backend }: Attempt, skips: readonly Skip[]): Verdict {
  const tried = skips.filter(({ kind }) => kind !== 'excluded');
  const only = (...kinds: SkipKind[]): boolean => tried.length > 0 && tried.every(({ kind }) => kinds.includes(kind));
  if (skips.length === 0) return backend === undefined ? nobody(tier) : noModel(tier);
  if (only('model')) return noModel(tier);
  if (only('context', 'model')) {
    return refusal(
      'context_length_exceeded',
      'The prompt is longer than any model here can take; shorten it.',
      tier,
      'context_too_small',
    );
  }
  if (only('tools', 'only_tools', 'infill', 'images', 'context', 'model')) {
    const kind = tried.find((skip) => skip.kind in unsupported)?.kind;
    const [what, reason] = unsupported[kind ?? ''] ?? ['takes content of this kind', 'images_unsupported'];
    const param = kind === 'infill' ? 'suffix' : kind === 'images' ? 'messages' : 'tools';
    return { ...refusal('unsupported_content', `No ${tier} model here ${what}.`, tier, reason), param };
  }
  if (
    tried.some(({ kind }) => kind === 'rate_limited') &&
    !tried.some(({ kind }) => kind === 'open' || kind === 'down')
  ) {
    return {
      code: 'rate_limit_exceeded',
      status: 429,
      reason: unavailable(tier),
      message: 'The backend asked for a pause; try again after it.',
    };
  }
  const reason = tier === 'local' && tried.some(({ kind }) => kind === 'loading') ? 'local_loading' : unavailable(tier);
  return {
    code: 'no_backend_available',
    status: 503,
    reason,
    message: `No ${tier} backend can take the request now; try again, or see lfo doctor.`,
  };
}

const unsupported: Readonly<Record<string, readonly [what: string, localReason: Reason]>> = {
  tools: ['takes tools; leave them out or configure one that does', 'tools_unsupported'],
  only_tools: ['answers without tools; offer some or configure one that does', 'only_tools'],
  infill: ['fills in the middle of a text; leave suffix out or configure one that does', 'infill_unsupported'],
  images: [
    'takes images, audio or files of this kind; leave them out or configure one that does',
    'images_unsupported',
  ],
};

function nobody(tier: Tier): Verdict {
  const status = { code: 'no_backend_available', status: 503 };
  if (tier === 'cloud')
    return {
      ...status,
      reason: 'cloud_not_configured',
      message: 'No cloud backend is configured; set GEMINI_API_KEY or add one to lfo.yaml.',
    };
  return {
    ...status,
    reason: 'local_unavailable',
    message: 'No local backend is configured; set LFO_LOCAL_MODEL or add one to lfo.yaml.',
  };
}

function noModel(tier: Tier): Verdict {
  return {
    code: 'model_not_found',
    status: 404,
    reason: unavailable(tier),
    message: 'No backend serves this model; see GET /v1/models.',
  };
}

/** The reasons speak of local models; towards the cloud there is one for all. */
function refusal(code: string, message: string, tier: Tier, reason: Reason): Verdict {
  return { code, message, status: 400, reason: tier === 'local' ? reason : 'cloud_unsuitable' };
}

function unavailable(tier: Tier): Reason {
  return tier === 'local' ? 'local_unavailable' : 'cloud_unavailable';
}
