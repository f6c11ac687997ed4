import type { FleetView } from '../core/backend.ts';
import type { PredictedWait } from '../core/predicted-wait.ts';
import type { JsonObject } from '../core/json.ts';
import type { RequestFeatures } from '../core/routing.ts';
import { contentOf, usesTools } from '../core/can-serve.ts';
import { type Candidate, isFull, isReady, predictedWait, suitable } from './suitability.ts';

/**
 * What the policies knew of a request, for replaying them with other limits later: numbers and kinds, no text. Prompt
 * tokens, mode and threshold are columns of their own.
 */
export function recordedFeatures(features: RequestFeatures, fleet: FleetView): JsonObject {
  const local = suitable(fleet, 'local', features).filter(isReady);
  return recordedOf(features, local, suitable(fleet, 'cloud', features).filter(isReady).length);
}

/** The same with the candidates of both tiers that could be asked. */
export function recordedOf(features: RequestFeatures, local: readonly Candidate[], cloudReady: number): JsonObject {
  const { request, warmTokens, limits, expected } = features;
  let least: (PredictedWait & { readonly backend: string }) | undefined;
  let full = 0;
  for (const candidate of local) {
    const { backend } = candidate;
    if (isFull(backend)) full++;
    const wait = predictedWait(candidate, features);
    if (wait !== undefined && wait.totalMs < (least?.totalMs ?? Infinity)) least = { backend: backend.id, ...wait };
  }
  const { images, remoteImages, audio } = contentOf(request);
  return {
    requested_model: request.hints.askedModel ?? request.model,
    messages: request.messages.length,
    tools: request.tools.length,
    uses_tools: usesTools(request),
    response_format: request.responseFormat?.type ?? 'text',
    ...(images && { images, remote_images: remoteImages }),
    ...(audio && { audio }),
    warm_tokens: warmTokens,
    max_local_tokens: limits.maxLocalTokens,
    first_token_budget_ms: limits.firstTokenBudgetMs,
    predicted_first_token_ms: least === undefined ? null : Math.round(least.totalMs),
    ...(least !== undefined && {
      predicted_backend: least.backend,
      predicted_queue_ms: Math.round(least.queueMs),
      predicted_prefill_ms: Math.round(least.prefillMs),
    }),
    local_ready: local.length,
    local_full: full,
    cloud_ready: cloudReady,
    ...(expected !== undefined && {
      expected_right: Math.round(expected.right * 1000) / 1000,
      expected_local_ms: Math.round(expected.localMs),
      expected_cloud_ms: Math.round(expected.cloudMs),
      expected_cloud_usd: expected.cloudUsd,
    }),
  };
}
