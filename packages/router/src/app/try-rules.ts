import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { lintRules } from '../config/lint-rules.ts';
import { type Rule, rulesSchema } from '../config/rules-schema.ts';
import type { LfoConfig } from '../config/config.ts';
import { isJsonObject, type JsonObject, parseJson } from '../core/json.ts';
import type { Tier } from '../core/request.ts';
import type { Archive, ArchiveFilter } from '../records/archive.ts';
import type { RequestRow } from '../records/tables.ts';
import { type CompiledRule, compileRules, type RuleFacts } from '../routing/rules.ts';

export interface RulesReplaySettings {
  /** YAML with `rules:`, as in `lfo.yaml` under `routing`. */
  readonly file: string;
  readonly filter: ArchiveFilter;
  readonly limit: number;
}

/** What rules would have done to one stored request. */
type Outcome = 'same' | 'to_local' | 'to_cloud' | 'other_backend' | 'refused';

/** Counts of what rules would have done. */
export interface RulesReplay {
  requests: number;
  /** A rule asks for something that was not stored: headers, metadata, or text without a capture. */
  untried: number;
  readonly outcomes: Record<Outcome, number>;
  readonly rules: Map<string, { matched: number; changed: number; untried: number }>;
}

/** The file holds no rules that could be tried; the message says why. */
export class RulesFileError extends Error {
  override readonly name = 'RulesFileError';
}

/**
 * Tries rules of a file on the requests that are stored; nothing is run and nothing enforced.
 * @throws RulesFileError; ArchiveError
 */
export async function tryRules(
  archive: Archive,
  config: LfoConfig,
  settings: RulesReplaySettings,
): Promise<RulesReplay> {
  const { rules, tierOf } = readRules(settings.file, config);
  const tally: RulesReplay = {
    requests: 0,
    untried: 0,
    outcomes: { same: 0, to_local: 0, to_cloud: 0, other_backend: 0, refused: 0 },
    rules: new Map(rules.map(({ name }) => [name, { matched: 0, changed: 0, untried: 0 }])),
  };
  const readsText = rules.some(({ needsText }) => needsText);
  for await (const row of archive.requests(settings.filter, settings.limit)) {
    if (!wasRouted(row)) continue;
    const texts = readsText ? await archive.texts(row.id) : undefined;
    replay(row, texts, rules, tierOf, tally);
  }
  return tally;
}

interface RuleToTry extends CompiledRule {
  readonly needsText: boolean;
}

function readRules(
  file: string,
  config: LfoConfig,
): { readonly rules: readonly RuleToTry[]; readonly tierOf: ReadonlyMap<string, Tier> } {
  const tierOf = new Map<string, Tier>(config.backends.map(({ name, tier }) => [name, tier]));
  tierOf.set('embedded', 'local');
  const rules = parseRules(file);
  const problems: string[] = [];
  const findings = {
    problem: (path: readonly PropertyKey[], message: string) => void problems.push(`${path.join('.')} ${message}`),
    warning() {},
  };
  lintRules(rules, { backends: [...tierOf.keys()], hasDevices: config.fleet.listen !== 'off' }, findings, ['rules']);
  if (problems.length > 0) throw new RulesFileError(`${file}: ${problems.join('; ')}`);
  const tried = compileRules(rules).map((rule, at) => ({
    ...rule,
    needsText: rules[at]?.when.content !== undefined,
  }));
  return { rules: tried, tierOf };
}

function parseRules(file: string): readonly Rule[] {
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new RulesFileError(`${file} cannot be read: ${error instanceof Error ? error.message : ''}`);
  }
  const holder = typeof value === 'object' && value !== null && 'routing' in value ? value.routing : value;
  const rules = typeof holder === 'object' && holder !== null && 'rules' in holder ? holder.rules : undefined;
  const read = rulesSchema.safeParse(rules);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const where = ['rules', ...(issue?.path ?? [])].join('.');
  throw new RulesFileError(`${file}: ${where} ${issue?.message ?? 'is missing'}`);
}

function replay(
  row: RequestRow,
  texts: readonly string[] | undefined,
  rules: readonly RuleToTry[],
  tierOf: ReadonlyMap<string, Tier>,
  tally: RulesReplay,
): void {
  const facts = factsOfRow(row, texts);
  const tried = rules.map((rule) => ({ rule, matched: rule.matches(facts) }));
  const voting = tried.filter(({ matched }) => matched === true).map(({ rule }) => rule);
  const outcome = outcomeOf(row, voting, tierOf);
  tally.requests++;
  tally.outcomes[outcome]++;
  if (tried.some(({ matched }) => matched === undefined)) tally.untried++;
  for (const { rule, matched } of tried) {
    const count = tally.rules.get(rule.name);
    if (count === undefined) continue;
    if (matched === undefined) count.untried++;
    if (matched !== true) continue;
    count.matched++;
    if (outcomeOf(row, [rule], tierOf) !== 'same') count.changed++;
  }
}

/** Rules are asked neither of what was refused as it came nor of texts that become vectors. */
function wasRouted({ mode, features, status }: RequestRow): boolean {
  return mode !== '' && (features !== null || status >= 400);
}

function factsOfRow(row: RequestRow, texts: readonly string[] | undefined): RuleFacts {
  const features = objectOf(row.features);
  const model = features['requested_model'];
  const usesTools = features['uses_tools'];
  const at = new Date(row.time_ms);
  return {
    keys: row.client_key === null ? undefined : [row.client_key],
    model: typeof model === 'string' ? model : undefined,
    headers: undefined,
    metadata: undefined,
    usesTools: typeof usesTools === 'boolean' ? usesTools : undefined,
    promptTokens: row.routed_tokens ?? row.prompt_tokens ?? undefined,
    texts: () => texts,
    localTime: { day: at.getDay(), minute: at.getHours() * 60 + at.getMinutes() },
  };
}

/** Reasons for which a tier was out of the question, whatever anybody prefers. */
const bound: ReadonlySet<string> = new Set([
  'cloud_not_configured',
  'cloud_unavailable',
  'cloud_unsuitable',
  'local_unavailable',
  'local_loading',
  'context_too_small',
  'tools_unsupported',
  'images_unsupported',
  'infill_unsupported',
]);

function outcomeOf(row: RequestRow, voting: readonly CompiledRule[], tierOf: ReadonlyMap<string, Tier>): Outcome {
  let tiers: readonly Tier[] = row.mode === 'local' || row.mode === 'cloud' ? [row.mode] : ['local', 'cloud'];
  const first = firstTier(row);
  let backend: string | undefined;
  let wanted: Tier | undefined;
  for (const { then } of voting) {
    for (const [target, keeps] of [
      [then.require, true],
      [then.forbid, false],
    ] as const) {
      if (target === undefined) continue;
      const tier = tierNamed(target, tierOf);
      if (tier === undefined || (!keeps && target !== tier)) {
        if (target === row.backend && !keeps) backend ??= 'another';
        continue;
      }
      tiers = tiers.filter((one) => (one === tier) === keeps);
      if (keeps && target !== tier) backend = target;
    }
    wanted ??= then.prefer === undefined ? undefined : tierNamed(then.prefer, tierOf);
  }
  const [only, second] = tiers;
  if (only === undefined) return 'refused';
  const isBound = namesOf(row.reasons).some((reason) => typeof reason === 'string' && bound.has(reason));
  const next = second === undefined ? only : isBound ? first : (wanted ?? first);
  if (next !== undefined && first !== undefined && next !== first) return next === 'local' ? 'to_local' : 'to_cloud';
  return backend !== undefined && backend !== row.backend ? 'other_backend' : 'same';
}

function tierNamed(target: string, tierOf: ReadonlyMap<string, Tier>): Tier | undefined {
  return target === 'local' || target === 'cloud' ? target : tierOf.get(target);
}

/** Where the request was sent first. */
function firstTier({ attempts, route }: RequestRow): Tier | undefined {
  const stored = parseJson(attempts);
  const tried = Array.isArray(stored) ? stored[0] : undefined;
  const tier = isJsonObject(tried) ? tried['tier'] : route;
  return tier === 'local' || tier === 'cloud' ? tier : undefined;
}

function objectOf(column: string | null): JsonObject {
  const value = column === null ? undefined : parseJson(column);
  return isJsonObject(value) ? value : {};
}

function namesOf(column: string): readonly unknown[] {
  const value = parseJson(column);
  return Array.isArray(value) ? value : [];
}
