// Rules say `then` in the file, and nobody awaits one.
/* oxlint-disable unicorn/no-thenable */
import type { Rule } from '../config/config.ts';
import type { FleetView } from '../core/backend.ts';
import { usesTools } from '../core/can-serve.ts';
import { type LinearPattern, linearPattern } from '../core/linear-pattern.ts';
import { textOf } from '../core/request.ts';
import type { RuledOut, Tier } from '../core/request.ts';
import { type LocalTime, type RequestFeatures, type RuleVote, weekdays } from '../core/routing.ts';

/** What rules look at. A fact that is undefined is not known, as of a stored request. */
export interface RuleFacts {
  /** The client's key: name and id, where it has any. */
  readonly keys: readonly string[] | undefined;
  readonly model: string | undefined;
  readonly headers: Readonly<Record<string, unknown>> | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | undefined;
  readonly usesTools: boolean | undefined;
  readonly promptTokens: number | undefined;
  /** Texts of the messages; read only where a rule asks. */
  readonly texts: () => Iterable<string> | undefined;
  readonly localTime: LocalTime | undefined;
}

/** A rule ready to be tried. */
export interface CompiledRule {
  readonly name: string;
  readonly then: Rule['then'];
  /** Undefined where a fact it needs is not known. */
  matches(facts: RuleFacts): boolean | undefined;
}

/** Rules of the operator, made ready once for each configuration. */
export function compileRules(rules: readonly Rule[]): readonly CompiledRule[] {
  return rules.map((rule) => {
    const conditions = conditionsOf(rule.when);
    return {
      name: rule.name,
      then: rule.then,
      matches(facts) {
        let isKnown = true;
        for (const holds of conditions) {
          const held = holds(facts);
          if (held === false) return false;
          if (held === undefined) isKnown = false;
        }
        return isKnown ? true : undefined;
      },
    };
  });
}

/** What a request that is being routed says to rules. */
export function factsOf({
  request,
  promptTokens,
  expectedTokens = promptTokens,
  localTime,
}: Pick<RequestFeatures, 'request' | 'localTime' | 'expectedTokens'> & {
  readonly promptTokens?: number | undefined;
}): RuleFacts {
  const { askedModel, clientKey, clientName, headers = {}, metadata = {} } = request.hints;
  return {
    keys: [clientName, clientKey].filter((name) => name !== undefined),
    model: askedModel ?? request.model,
    headers,
    metadata,
    usesTools: usesTools(request),
    promptTokens: expectedTokens,
    *texts() {
      for (const message of request.messages) {
        yield textOf(message);
        if (message.role === 'assistant') for (const call of message.toolCalls) yield call.arguments;
      }
    },
    localTime,
  };
}

/** The votes of all rules that match, in order. A backend that is not in the fleet can be required and nothing else. */
export function ruleVotes(
  rules: readonly CompiledRule[],
  features: RequestFeatures,
  fleet: FleetView,
): readonly RuleVote[] {
  if (rules.length === 0) return [];
  const facts = factsOf(features);
  return rules.filter((rule) => rule.matches(facts) === true).flatMap((rule) => votesOf(rule, fleet));
}

/**
 * What rules keep a request from, as far as that does not depend on how long its prompt is: told before anybody is asked
 * to count it.
 */
export function ruledOutUncounted(
  rules: readonly CompiledRule[],
  request: Pick<RequestFeatures, 'request' | 'localTime'>,
  fleet: FleetView,
): RuledOut {
  const facts = factsOf(request);
  return ruledOut(rules.filter((rule) => rule.matches(facts) === true).flatMap((rule) => votesOf(rule, fleet)));
}

/** What these votes keep a request from; of a backend that is required, only what is outside its tier. */
export function ruledOut(votes: readonly RuleVote[]): RuledOut {
  const tiers: Tier[] = [];
  const backends: string[] = [];
  for (const vote of votes) {
    if (vote.type === 'require') tiers.push(vote.tier === 'local' ? 'cloud' : 'local');
    else if (vote.type !== 'forbid') continue;
    else if (vote.backend === undefined) tiers.push(vote.tier);
    else backends.push(vote.backend);
  }
  return { tiers, backends };
}

function votesOf({ name, then: { require, prefer, forbid, lane, goal } }: CompiledRule, fleet: FleetView): RuleVote[] {
  const votes: RuleVote[] = [];
  for (const [type, target] of [
    ['require', require],
    ['prefer', prefer],
    ['forbid', forbid],
  ] as const) {
    if (target === undefined) continue;
    if (target === 'local' || target === 'cloud') votes.push({ rule: name, type, tier: target });
    else {
      const backend = fleet.backends.find(({ id, device }) => id === target || device?.name === target);
      if (backend !== undefined) votes.push({ rule: name, type, tier: backend.tier, backend: backend.id });
      else if (type === 'require') votes.push({ rule: name, type, tier: 'local', backend: target });
    }
  }
  if (lane !== undefined) votes.push({ rule: name, type: 'lane', lane });
  if (goal !== undefined) votes.push({ rule: name, type: 'goal', ...goal });
  return votes;
}

type Condition = (facts: RuleFacts) => boolean | undefined;

function conditionsOf(when: Rule['when']): readonly Condition[] {
  const { key, model, header, metadata, tools, promptTokens, content, hours, days } = when;
  const conditions: Condition[] = [];
  if (key !== undefined) {
    const pattern = globPattern(key);
    conditions.push(({ keys }) => keys?.some((name) => pattern.test(name)));
  }
  if (model !== undefined) {
    const pattern = globPattern(model);
    conditions.push((facts) => (facts.model === undefined ? undefined : pattern.test(facts.model)));
  }
  if (hours !== undefined) conditions.push(withinHours(hours));
  if (days !== undefined) {
    const wanted = new Set(days.map((day) => weekdays.indexOf(day)));
    conditions.push(({ localTime }) => localTime && wanted.has(localTime.day));
  }
  if (tools !== undefined)
    conditions.push(({ usesTools }) => (usesTools === undefined ? undefined : usesTools === tools));
  if (promptTokens !== undefined) {
    const { min = 0, max = Infinity } = promptTokens;
    conditions.push((facts) =>
      facts.promptTokens === undefined ? undefined : facts.promptTokens >= min && facts.promptTokens <= max,
    );
  }
  conditions.push(
    ...named(header, ({ headers }) => headers, true),
    ...named(metadata, (facts) => facts.metadata, false),
  );
  // Last: it costs the most.
  if (content !== undefined) conditions.push(hasContent(linearPattern(content)));
  return conditions;
}

function named(
  wanted: Readonly<Record<string, string>> | undefined,
  of: (facts: RuleFacts) => Readonly<Record<string, unknown>> | undefined,
  isHeader: boolean,
): readonly Condition[] {
  return Object.entries(wanted ?? {}).map(([name, glob]) => {
    const pattern = globPattern(glob);
    const field = isHeader ? name.toLowerCase() : name;
    return (facts) => {
      const values = of(facts);
      if (values === undefined) return undefined;
      const value = Object.hasOwn(values, field) ? values[field] : undefined;
      return typeof value === 'string' && pattern.test(value);
    };
  });
}

function hasContent(pattern: LinearPattern): Condition {
  return ({ texts }) => {
    const all = texts();
    if (all === undefined) return undefined;
    for (const text of all) if (pattern.test(text)) return true;
    return false;
  };
}

/** `22:00-06:00` is a night: it ends on the next day. */
function withinHours(hours: string): Condition {
  const [from = 0, to = 0] = hours.split('-').map((time) => {
    const [hour = 0, minute = 0] = time.split(':').map(Number);
    return hour * 60 + minute;
  });
  return ({ localTime }) => {
    if (localTime === undefined) return undefined;
    const { minute } = localTime;
    return from < to ? minute >= from && minute < to : minute >= from || minute < to;
  };
}

/** `*` is any text, `?` any character; the whole name must match, in any case. */
function globPattern(glob: string): RegExp {
  // Runs of stars say no more than one and could be matched in many ways.
  const source = glob
    .replace(/\*+/g, '*')
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[^]*')
    .replaceAll('?', '[^]');
  return new RegExp(`^${source}$`, 'i');
}
