import type { RoutingPolicy } from '../core/routing.ts';
import { canServe, contentLackOf } from '../core/can-serve.ts';
import { resolveModel } from '../core/model-directory.ts';
import { candidatesOf, isFull, isReady, ofTier, predictedWait, suitable } from './suitability.ts';

/** A real model id runs in its own tier; binds. */
const pinnedModelPolicy: RoutingPolicy = {
  name: 'pinned-model',
  vote({ request }, fleet) {
    const target = resolveModel(request.model, fleet.backends);
    if (target?.model === undefined || target.mode === 'auto') return { type: 'pass' };
    return { type: 'require', tier: target.mode, reason: 'model_pinned' };
  },
};

/** The request's own word on where it may run; binds. */
const modePolicy: RoutingPolicy = {
  name: 'mode',
  vote({ mode }) {
    if (mode === 'auto') return { type: 'pass' };
    return { type: 'require', tier: mode, reason: mode === 'local' ? 'mode_local' : 'mode_cloud' };
  },
};

/**
 * No cloud that takes the request: never there. A cloud that is out at the moment: local first. Of a request that is for
 * local models alone there is nothing to say.
 */
const cloudAvailabilityPolicy: RoutingPolicy = {
  name: 'cloud-availability',
  vote(features, fleet) {
    if (features.mode === 'local') return { type: 'pass' };
    if (ofTier(fleet, 'cloud').length === 0) {
      return { type: 'forbid', tier: 'cloud', reason: 'cloud_not_configured' };
    }
    const candidates = suitable(fleet, 'cloud', features);
    if (candidates.length === 0) return { type: 'forbid', tier: 'cloud', reason: 'cloud_unsuitable' };
    if (!candidates.some(isReady)) return { type: 'prefer', tier: 'local', reason: 'cloud_unavailable' };
    return { type: 'pass' };
  },
};

/** Money has a goal: at the soft limit local comes first, at the hard one only who names the cloud gets it. */
const spendPolicy: RoutingPolicy = {
  name: 'spend',
  vote({ mode, request, limits }, fleet) {
    const isNamed = mode !== 'auto' || resolveModel(request.model, fleet.backends)?.mode === 'cloud';
    if (limits.spend === undefined || isNamed || ofTier(fleet, 'cloud').length === 0) return { type: 'pass' };
    if (limits.spend === 'spent') return { type: 'forbid', tier: 'cloud', reason: 'spend_hard_limit' };
    return { type: 'prefer', tier: 'local', reason: 'spend_limit' };
  },
};

/** The same of the local tier, but one that is down or still loading yields to the cloud. */
const localAvailabilityPolicy: RoutingPolicy = {
  name: 'local-availability',
  vote(features, fleet) {
    if (features.mode === 'cloud') return { type: 'pass' };
    if (ofTier(fleet, 'local').length === 0) return { type: 'forbid', tier: 'local', reason: 'local_unavailable' };
    const candidates = suitable(fleet, 'local', features);
    if (candidates.length === 0 || candidates.some(isReady)) return { type: 'pass' };
    const loading = candidates.some(({ backend }) => backend.status.state === 'loading' && backend.breaker !== 'open');
    return { type: 'prefer', tier: 'cloud', reason: loading ? 'local_loading' : 'local_unavailable' };
  },
};

/** Content or tools that no local model takes bind; a JSON schema that none enforces only prefers the cloud. */
const capabilityPolicy: RoutingPolicy = {
  name: 'capability',
  vote({ request }, fleet) {
    const local = candidatesOf(fleet, 'local', request);
    const lacks = local.map(({ offer }) => contentLackOf(request, offer, 'local'));
    const [reason] = lacks;
    if (reason !== undefined && !lacks.includes(undefined)) return { type: 'forbid', tier: 'local', reason };
    const capable = local.filter((_, index) => lacks[index] === undefined);
    const wantsSchema = request.responseFormat?.type === 'json_schema';
    if (wantsSchema && capable.length > 0 && !capable.some(({ offer }) => offer.capabilities.jsonSchema)) {
      return { type: 'prefer', tier: 'cloud', reason: 'json_schema_unsupported' };
    }
    return { type: 'pass' };
  },
};

/** A prompt beyond every capable local model's context never goes there: nothing is truncated silently. */
const localContextPolicy: RoutingPolicy = {
  name: 'local-context',
  vote(features, fleet) {
    const { request } = features;
    const capable = candidatesOf(fleet, 'local', request).filter(
      ({ offer }) => contentLackOf(request, offer, 'local') === undefined,
    );
    if (capable.length === 0 || capable.some(({ offer }) => canServe(features, offer, 'local')))
      return { type: 'pass' };
    return { type: 'forbid', tier: 'local', reason: 'context_too_small' };
  },
};

/** A loop of tool calls and results that has gone to the cloud stays there: it does not flap between two models. */
const toolLoopPolicy: RoutingPolicy = {
  name: 'tool-loop',
  vote({ loopTier }) {
    return loopTier === 'cloud' ? { type: 'prefer', tier: 'cloud', reason: 'tool_loop' } : { type: 'pass' };
  },
};

/** `max_local_tokens` steers `auto`: longer prompts go to the cloud first. */
const tokenLimitPolicy: RoutingPolicy = {
  name: 'token-limit',
  vote({ promptTokens, limits }) {
    if (promptTokens <= limits.maxLocalTokens) return { type: 'pass' };
    return { type: 'prefer', tier: 'cloud', reason: 'prompt_too_long' };
  },
};

/** A full local tier is not waited for while the cloud has room; where it has none, the request waits for its turn. */
const localRoomPolicy: RoutingPolicy = {
  name: 'local-room',
  vote(features, fleet) {
    const local = suitable(fleet, 'local', features).filter(isReady);
    if (local.length === 0 || !local.every(({ backend }) => isFull(backend))) return { type: 'pass' };
    const hasRoom = suitable(fleet, 'cloud', features).some((one) => isReady(one) && !isFull(one.backend));
    return hasRoom ? { type: 'prefer', tier: 'cloud', reason: 'local_full' } : { type: 'pass' };
  },
};

/**
 * Locality is a matter of time too: a prompt whose first token no local model gives within the budget, queue and reading
 * together, goes to the cloud first.
 */
const firstTokenTimePolicy: RoutingPolicy = {
  name: 'first-token-time',
  vote(features, fleet) {
    const waits = suitable(fleet, 'local', features)
      .filter(isReady)
      .map((candidate) => predictedWait(candidate, features)?.totalMs ?? 0);
    if (waits.length === 0 || Math.min(...waits) <= features.limits.firstTokenBudgetMs) return { type: 'pass' };
    return { type: 'prefer', tier: 'cloud', reason: 'first_token_too_late' };
  },
};

/**
 * A local attempt costs its time and, where its answer is held back, the cloud's time and money all the same. Where it is
 * not expected to save as much as it costs, the cloud comes first.
 */
const expectedGainPolicy: RoutingPolicy = {
  name: 'expected-gain',
  vote({ expected, mode }) {
    if (expected === undefined || mode !== 'auto') return { type: 'pass' };
    const { right, localMs, cloudMs, cloudUsd, usdPerSecond } = expected;
    const cloudCosts = cloudUsd + (usdPerSecond * cloudMs) / 1000;
    const localCosts = (usdPerSecond * localMs) / 1000;
    return right * cloudCosts < localCosts
      ? { type: 'prefer', tier: 'cloud', reason: 'expected_gain' }
      : { type: 'pass' };
  },
};

/** The shipped policies. Order matters among preferences only: the first one speaks. */
export const defaultPolicies: readonly RoutingPolicy[] = [
  pinnedModelPolicy,
  modePolicy,
  cloudAvailabilityPolicy,
  spendPolicy,
  localAvailabilityPolicy,
  capabilityPolicy,
  localContextPolicy,
  toolLoopPolicy,
  tokenLimitPolicy,
  localRoomPolicy,
  firstTokenTimePolicy,
  expectedGainPolicy,
];
