import type { Attempt, BackendView, FleetView } from '../core/backend.ts';
import { RequestError } from '../core/errors.ts';
import { intersectModes, resolveModel, servesPlainly, type ModelTarget } from '../core/model-directory.ts';
import type { Reason } from '../core/reason.ts';
import type { Mode, Tier } from '../core/request.ts';
import type { AnswerGoal, Decision, RequestFeatures, RoutingPolicy, RuleVote, Vote } from '../core/routing.ts';
import { refusal } from './refusal.ts';
import { type CompiledRule, ruleVotes } from './rules.ts';
import { isReady, ofTier, suitable } from './suitability.ts';

type CastVote = Exclude<Vote, { readonly type: 'pass' }>;

/**
 * Turns votes into attempts: `require` and `forbid` bind, the first `prefer` orders, local comes first otherwise.
 * A local answer is gated only where a cloud that can be asked now stands behind it; behind a cloud attempt, local
 * remains as the last resort. Pure.
 * @throws RequestError 404 for a model nobody serves, 400 for contradictory modes, for a prompt too long and for
 * content no allowed backend takes; NoBackendError where an allowed tier has no backends at all.
 */
export function decide(
  features: RequestFeatures,
  fleet: FleetView,
  policies: readonly RoutingPolicy[],
  rules: readonly CompiledRule[] = [],
): Decision {
  const asked = resolveModel(features.request.model, fleet.backends);
  if (asked === undefined) throw unknownModel();
  const askedMode = intersectModes(features.mode, asked.mode);
  if (askedMode === undefined) throw contradiction();
  const served = { backends: fleet.backends.filter((backend) => serves(backend, asked, fleet)) };
  const ruled = ruleVotes(rules, features, served);
  const { mode, target, avoid, prefer, lane, goal } = underRules(askedMode, asked, ruled);
  const scope = { backends: served.backends.filter(({ id }) => !avoid.includes(id) && (target.backend ?? id) === id) };
  const scoped = { ...features, mode };

  // What a rule says of the mode is the rule's own vote.
  const asIs = { ...features, mode: askedMode };
  const emptied = tiers.filter((tier) => ofTier(served, tier).length > 0 && ofTier(scope, tier).length === 0);
  const votes = policies.map((policy) => ({ policy: policy.name, vote: asRuled(policy.vote(asIs, scope), emptied) }));
  const cast = castInOrder(votes, ruled);
  const allowed = allowedTiers(cast);
  const order = inOrder(allowed, cast);
  const [first] = order;
  if (first === undefined) throw refusal(scoped, scope);

  const cloudReady = suitable(scope, 'cloud', scoped).some(isReady);
  const hasEscape = order.includes('cloud') && cloudReady;
  const avoided = [...avoid, ...namesakes(asked, served, fleet)];
  const also = { ...(avoided.length > 0 && { avoid: avoided }), ...(prefer !== undefined && { prefer }) };
  const attempts = order
    .flatMap((tier) => [
      attemptAt(tier, target, tier === 'local' && first === 'local' && hasEscape),
      ...standInsAt(tier, target, scope),
    ])
    .map((attempt) => ({ ...attempt, ...also }));
  return {
    attempts,
    reasons: reasonsFor(first, cast),
    votes,
    mode,
    rules: ruled,
    ...(lane !== undefined && { lane }),
    ...(goal !== undefined && { goal }),
  };
}

interface UnderRules {
  readonly mode: Mode;
  readonly target: ModelTarget;
  readonly avoid: readonly string[];
  readonly prefer: string | undefined;
  readonly lane: 'background' | undefined;
  readonly goal: AnswerGoal | undefined;
}

/**
 * What rules leave of where a request may run: the strictest wins.
 * @throws RequestError 400 where they leave nothing
 */
function underRules(askedMode: Mode, asked: ModelTarget, ruled: readonly RuleVote[]): UnderRules {
  let mode = askedMode;
  let only = asked.backend;
  const avoid: string[] = [];
  let prefer: string | undefined;
  let lane: 'background' | undefined;
  let goal: AnswerGoal | undefined;
  for (const vote of ruled) {
    if (vote.type === 'lane') lane = vote.lane;
    else if (vote.type === 'goal') {
      const { quality, risk } = vote;
      goal ??= { ...(quality !== undefined && { quality }), ...(risk !== undefined && { risk }) };
    } else if (vote.type === 'prefer') prefer ??= vote.backend;
    else if (vote.type === 'forbid' && vote.backend !== undefined) avoid.push(vote.backend);
    else {
      const tier = vote.type === 'require' ? vote.tier : vote.tier === 'local' ? 'cloud' : 'local';
      const joined = intersectModes(mode, tier);
      if (joined === undefined) throw againstRule(vote.rule, tier, mode);
      mode = joined;
      if (vote.backend === undefined) continue;
      if (only !== undefined && only !== vote.backend) throw againstRule(vote.rule, vote.backend, only);
      only = vote.backend;
    }
  }
  if (only !== undefined && avoid.includes(only)) {
    const rule = ruled.find((vote) => vote.type === 'forbid' && vote.backend === only)?.rule ?? '';
    throw againstRule(rule, `anything but ${only}`, only);
  }
  const target = only === undefined ? asked : { ...asked, backend: only };
  return { mode, target, avoid, prefer, lane, goal };
}

function againstRule(rule: string, wants: string, asked: string): RequestError {
  return new RequestError(
    `The rule "${rule}" of this router allows ${wants} alone, and the request asks for ${asked}; make them agree.`,
    { code: 'mode_conflict', param: 'model' },
  );
}

/** A tier whose backends a rule leaves out is there all the same. */
function asRuled(vote: Vote, emptied: readonly Tier[]): Vote {
  return vote.type === 'forbid' && emptied.includes(vote.tier) ? { ...vote, reason: 'rule' } : vote;
}

/** A preference for what can be asked at all speaks first, then the operator's, then the numbers'. */
function castInOrder(votes: Decision['votes'], ruled: readonly RuleVote[]): readonly CastVote[] {
  const own = votes.flatMap(({ vote }) => (vote.type === 'pass' ? [] : [vote]));
  if (ruled.length === 0) return own;
  const rules = ruled.flatMap((vote): CastVote[] =>
    vote.type === 'lane' || vote.type === 'goal' || (vote.type === 'forbid' && vote.backend !== undefined)
      ? []
      : [{ type: vote.type, tier: vote.tier, reason: 'rule' }],
  );
  const isOfAvailability = ({ type, reason }: CastVote): boolean => type === 'prefer' && availability.has(reason);
  return [...own.filter(isOfAvailability), ...rules, ...own.filter((vote) => !isOfAvailability(vote))];
}

const availability: ReadonlySet<Reason> = new Set(['cloud_unavailable', 'local_loading', 'local_unavailable']);

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

function serves(backend: BackendView, { backend: only, model }: ModelTarget, { backends }: FleetView): boolean {
  if (only !== undefined) return backend.id === only;
  return model === undefined || servesPlainly(backend, model, backends);
}

/** Devices with a model of this name, which is another's. */
function namesakes({ backend: only, model }: ModelTarget, served: FleetView, fleet: FleetView): readonly string[] {
  if (only !== undefined || model === undefined) return [];
  const named = fleet.backends.filter(
    (backend) => backend.models.includes(model) && !served.backends.includes(backend),
  );
  return named.map(({ id }) => id);
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
