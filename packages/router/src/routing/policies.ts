import type { RoutingPolicy } from '../core/routing.ts';
import { fits, incapable, isReady, ofTier, predictedFirstTokenMs, suitable } from './suitability.ts';
import { resolveModel } from './model-aliases.ts';

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

/** No cloud that takes the request: never there. A cloud that is out at the moment: local first. */
const cloudAvailabilityPolicy: RoutingPolicy = {
  name: 'cloud-availability',
  vote(features, fleet) {
    if (ofTier(fleet, 'cloud').length === 0) {
      return { type: 'forbid', tier: 'cloud', reason: 'cloud_not_configured' };
    }
    const candidates = suitable(fleet, 'cloud', features);
    if (candidates.length === 0) return { type: 'forbid', tier: 'cloud', reason: 'cloud_unsuitable' };
    if (!candidates.some(isReady)) return { type: 'prefer', tier: 'local', reason: 'cloud_unavailable' };
    return { type: 'pass' };
  },
};

/** A local tier that is absent binds; one that is down or still loading yields to the cloud. */
const localAvailabilityPolicy: RoutingPolicy = {
  name: 'local-availability',
  vote(features, fleet) {
    if (ofTier(fleet, 'local').length === 0) return { type: 'forbid', tier: 'local', reason: 'local_unavailable' };
    const candidates = suitable(fleet, 'local', features);
    if (candidates.length === 0 || candidates.some(isReady)) return { type: 'pass' };
    const loading = candidates.some((backend) => backend.status.state === 'loading' && backend.breaker !== 'open');
    return { type: 'prefer', tier: 'cloud', reason: loading ? 'local_loading' : 'local_unavailable' };
  },
};

/** Content or tools that no local model takes bind; a JSON schema that none enforces only prefers the cloud. */
const capabilityPolicy: RoutingPolicy = {
  name: 'capability',
  vote({ request }, fleet) {
    const local = ofTier(fleet, 'local');
    const lacks = local.map((backend) => incapable(backend, request));
    const [reason] = lacks;
    if (reason !== undefined && !lacks.includes(undefined)) return { type: 'forbid', tier: 'local', reason };
    const capable = local.filter((_, index) => lacks[index] === undefined);
    const wantsSchema = request.responseFormat?.type === 'json_schema';
    if (wantsSchema && capable.length > 0 && !capable.some((backend) => backend.capabilities.jsonSchema)) {
      return { type: 'prefer', tier: 'cloud', reason: 'json_schema_unsupported' };
    }
    return { type: 'pass' };
  },
};

/** A prompt beyond every capable local model's context never goes there: nothing is truncated silently. */
const localContextPolicy: RoutingPolicy = {
  name: 'local-context',
  vote(features, fleet) {
    const capable = ofTier(fleet, 'local').filter((backend) => incapable(backend, features.request) === undefined);
    if (capable.length === 0 || capable.some((backend) => fits(backend, features))) return { type: 'pass' };
    return { type: 'forbid', tier: 'local', reason: 'context_too_small' };
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

/** Locality is a matter of time too: a prompt that no local model reads within the budget goes to the cloud first. */
const firstTokenTimePolicy: RoutingPolicy = {
  name: 'first-token-time',
  vote(features, fleet) {
    const waits = suitable(fleet, 'local', features)
      .filter(isReady)
      .map((backend) => predictedFirstTokenMs(backend, features) ?? 0);
    if (waits.length === 0 || Math.min(...waits) <= features.limits.firstTokenBudgetMs) return { type: 'pass' };
    return { type: 'prefer', tier: 'cloud', reason: 'first_token_too_late' };
  },
};

/** The shipped policies. Order matters among preferences only: the first one speaks. */
export const defaultPolicies: readonly RoutingPolicy[] = [
  pinnedModelPolicy,
  modePolicy,
  cloudAvailabilityPolicy,
  localAvailabilityPolicy,
  capabilityPolicy,
  localContextPolicy,
  tokenLimitPolicy,
  firstTokenTimePolicy,
];
