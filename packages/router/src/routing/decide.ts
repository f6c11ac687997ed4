import type { Attempt, FleetView } from '../core/backend.ts';
import { RequestError } from '../core/errors.ts';
import { intersectModes, resolveModel, type ModelTarget } from '../core/model-directory.ts';
import type { Reason } from '../core/reason.ts';
import type { Tier } from '../core/request.ts';
import type { Decision, RequestFeatures, RoutingPolicy, Vote } from '../core/routing.ts';
import { refusal } from './refusal.ts';
import { isReady, ofTier, suitable } from './suitability.ts';

type CastVote = Exclude<Vote, { readonly type: 'pass' }>;

/**
 * Turns votes into attempts: `require` and `forbid` bind, the first `prefer` orders, local comes first otherwise.
 * A local answer is gated only where a cloud that can be asked now stands behind it; behind a cloud attempt, local
 * remains as the last resort. Pure.
 * @throws RequestError 404 for a model nobody serves, 400 for contradictory modes, for a prompt too long and for
 * content no allowed backend takes; NoBackendError where an allowed tier has no backends at all.
 */
export function decide(features: RequestFeatures, fleet: FleetView, policies: readonly RoutingPolicy[]): Decision {
  const target = resolveModel(features.request.model, fleet.backends);
  if (target === undefined) throw unknownModel();
  const mode = intersectModes(features.mode, target.mode);
  if (mode === undefined) throw contradiction();
  const scope = { backends: fleet.backends.filter((backend) => serves(backend, target)) };
  const scoped = { ...features, mode };

  const votes = policies.map((policy) => ({ policy: policy.name, vote: policy.vote(scoped, scope) }));
  const cast = votes.flatMap(({ vote }) => (vote.type === 'pass' ? [] : [vote]));
  const allowed = allowedTiers(cast);
  const order = inOrder(allowed, cast);
  const [first] = order;
  if (first === undefined) throw refusal(scoped, scope);

  const cloudReady = suitable(scope, 'cloud', scoped).some(isReady);
  const hasEscape = order.includes('cloud') && cloudReady;
  const attempts = order.flatMap((tier) => [
    attemptAt(tier, target, tier === 'local' && first === 'local' && hasEscape),
    ...standInsAt(tier, target, scope),
  ]);
  return { attempts, reasons: reasonsFor(first, cast), votes };
}

function attemptAt(tier: Tier, { backend, model }: ModelTarget, gated: boolean): Attempt {
  return { tier, ...(backend !== undefined && { backend }), ...(model !== undefined && { model }), gated };
}

/** Other models of the same backends, for when the one asked for is limited, broken or unknown there. */
function standInsAt(tier: Tier, target: ModelTarget, fleet: FleetView): readonly Attempt[] {
  return ofTier(fleet, tier).flatMap(({ id, standIns = [] }) =>
    standIns
      .filter((model) => model !== target.model)
      .map((model) => ({ tier, backend: id, model, gated: false, isStandIn: true })),
  );
}

function serves(backend: FleetView['backends'][number], target: ModelTarget): boolean {
  if (target.backend !== undefined) return backend.id === target.backend;
  return target.model === undefined || backend.models.includes(target.model);
}

function allowedTiers(votes: readonly CastVote[]): readonly Tier[] {
  return tiers.filter((tier) => !votes.some((vote) => excludes(vote, tier)));
}

function excludes(vote: CastVote, tier: Tier): boolean {
  return (vote.type === 'forbid' && vote.tier === tier) || (vote.type === 'require' && vote.tier !== tier);
}

function inOrder(allowed: readonly Tier[], votes: readonly CastVote[]): readonly Tier[] {
  const preferred = preferredTier(votes);
  return allowed.toSorted((one, other) => Number(other === preferred) - Number(one === preferred));
}

/** The tier one would start with if nothing were forbidden. */
function preferredTier(votes: readonly CastVote[]): Tier {
  return votes.find((vote) => vote.type === 'prefer')?.tier ?? 'local';
}

/** The vote that fixed the first tier, then all others as they were cast, each once. */
function reasonsFor(first: Tier, votes: readonly CastVote[]): readonly Reason[] {
  const required = votes.find((vote) => vote.type === 'require');
  const isAsPreferred = first === 'local' && preferredTier(votes) === 'local';
  const barred = isAsPreferred ? undefined : votes.find((vote) => excludes(vote, otherTier(first)));
  const preferred = votes.find((vote) => vote.type === 'prefer');
  const decisive = required?.reason ?? barred?.reason ?? preferred?.reason ?? 'local_first';
  return [...new Set([decisive, ...votes.map((vote) => vote.reason)])];
}

function otherTier(tier: Tier): Tier {
  return tier === 'local' ? 'cloud' : 'local';
}

function unknownModel(): RequestError {
  return new RequestError('This model is not served here; GET /v1/models lists those that are.', {
    code: 'model_not_found',
    status: 404,
    param: 'model',
  });
}

function contradiction(): RequestError {
  return new RequestError('The mode and the model exclude each other: drop one, or choose a model of that tier.', {
    code: 'conflicting_modes',
    param: 'model',
  });
}

const tiers = ['local', 'cloud'] as const;
