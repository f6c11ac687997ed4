import type { FleetView } from '../core/backend.ts';
import { NoBackendError, RequestError, type LfoError } from '../core/errors.ts';
import { reasons, type Reason } from '../core/reason.ts';
import type { RequestFeatures } from '../core/routing.ts';
import { contentLackOf, offersOf } from '../core/can-serve.ts';
import { candidatesOf } from './suitability.ts';

/** The error for a request that no allowed tier can take: whose fault it is and what would help. */
export function refusal(features: RequestFeatures, fleet: FleetView): LfoError {
  const { mode, request } = features;
  const tiers = mode === 'auto' ? (['local', 'cloud'] as const) : [mode];
  const lacks = tiers.flatMap((tier) =>
    candidatesOf(fleet, tier, request).map(({ offer }) => contentLackOf(request, offer, tier)),
  );
  if (lacks.length === 0) return nothingConfigured(features);
  if (lacks.includes(undefined)) return tooLong(features, fleet);
  return unsupported(lacks.find((reason) => reason !== undefined) ?? 'tools_unsupported');
}

function nothingConfigured({ mode }: RequestFeatures): NoBackendError {
  const reason = mode === 'local' ? 'local_unavailable' : 'cloud_not_configured';
  const remedy =
    mode === 'local'
      ? 'Set LFO_LOCAL_MODEL or add a backend with tier: local.'
      : 'Set GEMINI_API_KEY or add a backend with tier: cloud.';
  return new NoBackendError(`${reasons[reason]} ${remedy}`, { reason, skipped: [], retryable: false });
}

function tooLong({ promptTokens, mode }: RequestFeatures, fleet: FleetView): RequestError {
  const contexts = fleet.backends
    .filter((backend) => mode === 'auto' || backend.tier === mode)
    .flatMap((backend) => offersOf(backend).map(({ capabilities }) => capabilities.contextTokens ?? 0));
  const message =
    `The prompt has about ${promptTokens} tokens; the largest context of an allowed model is ` +
    `${Math.max(...contexts)}. Shorten the messages, or allow a model with a larger context.`;
  return new RequestError(message, { code: 'context_length_exceeded', param: 'messages' });
}

function unsupported(reason: Reason): RequestError {
  if (reason === 'only_tools')
    return new RequestError(`${reasons[reason]} Offer tools, or use another mode or model.`, {
      code: 'unsupported_by_backend',
      param: 'tools',
    });
  if (reason === 'infill_unsupported')
    return new RequestError(
      'suffix: no allowed model fills in the middle of a text. Leave it out, or ask a model trained for it: Qwen2.5-Coder as the embedded one, or behind llama-server or Ollama.',
      { code: 'unsupported_by_backend', param: 'suffix' },
    );
  const what = reason === 'tools_unsupported' ? 'tools' : 'this kind of content';
  return new RequestError(`No allowed backend takes ${what}. Use another mode or model, or leave it out.`, {
    code: 'unsupported_by_backend',
    param: reason === 'tools_unsupported' ? 'tools' : 'messages',
  });
}
