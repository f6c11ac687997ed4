import { isDeepStrictEqual } from 'node:util';
import type { Findings } from './backends.ts';
import type { Rule } from './rules-schema.ts';

/** What rules may be about, as far as the file says. */
export interface RuleTargets {
  /** Names of configured backends. */
  readonly backends: readonly string[];
  /** Devices come and go, so a name that is not configured may be one. */
  readonly hasDevices: boolean;
}

/** Headers that hold keys: a rule that matched on one would carry it about. */
const secretHeaders = new Set(['authorization', 'x-api-key', 'x-goog-api-key', 'cookie', 'proxy-authorization']);

/** Says which rules can never match, contradict themselves or one another, or name what is not there. */
export function lintRules(
  rules: readonly Rule[],
  { backends, hasDevices }: RuleTargets,
  findings: Findings,
  path: readonly PropertyKey[] = ['routing', 'rules'],
): void {
  const known = new Set(['local', 'cloud', ...backends]);
  rules.forEach((rule, index) => {
    const at = [...path, index];
    const { name, when } = rule;
    if (rules.findIndex((other) => other.name === name) < index) {
      findings.problem([...at, 'name'], `"${name}" is taken: names of rules must be unique`);
    }
    const never = whyNever(when);
    if (never !== undefined) findings.problem([...at, 'when'], `can never match: ${never}`);
    const secret = Object.keys(when.header ?? {}).find((header) => secretHeaders.has(header.toLowerCase()));
    if (secret !== undefined)
      findings.problem([...at, 'when', 'header'], `${secret} is a secret: match on "key" instead`);
    const clash = clashWithin(rule);
    if (clash !== undefined) findings.problem([...at, 'then'], clash);
    for (const target of targetsOf(rule)) {
      if (known.has(target)) continue;
      const hint = `"${target}" is neither local, cloud nor a backend of this file`;
      if (hasDevices) findings.warning(`Rule ${name}: ${hint}; it is taken for the name of a device.`);
      else findings.problem([...at, 'then'], hint);
    }
    const other = rules.slice(0, index).find((earlier) => contradicts(earlier, rule));
    if (other !== undefined) {
      findings.problem(at, `contradicts the rule "${other.name}", which matches the same requests`);
    }
  });
}

function targetsOf({ then: { require, prefer, forbid } }: Rule): readonly string[] {
  return [require, prefer, forbid].filter((target) => target !== undefined);
}

function whyNever({ promptTokens, hours }: Rule['when']): string | undefined {
  if (promptTokens?.min !== undefined && promptTokens.max !== undefined && promptTokens.min > promptTokens.max) {
    return 'prompt_tokens.min is above max';
  }
  const [from, to] = hours?.split('-') ?? [];
  return hours !== undefined && from === to ? 'hours has no length' : undefined;
}

function clashWithin({ then: { require, prefer, forbid } }: Rule): string | undefined {
  if (forbid !== undefined && (forbid === require || forbid === prefer)) return `asks for ${forbid} and forbids it`;
  const tiers = [require, prefer].filter((target) => target === 'local' || target === 'cloud');
  return tiers[0] !== undefined && tiers[1] !== undefined && tiers[0] !== tiers[1]
    ? 'requires one tier and prefers the other'
    : undefined;
}

/** Of two rules for the same requests: what one requires the other forbids, or each requires something else. */
function contradicts(one: Rule, other: Rule): boolean {
  if (!isDeepStrictEqual(one.when, other.when)) return false;
  const [a, b] = [one.then, other.then];
  if (a.require !== undefined && b.require !== undefined && excludesEachOther(a.require, b.require)) return true;
  return (a.require !== undefined && a.require === b.forbid) || (b.require !== undefined && b.require === a.forbid);
}

function excludesEachOther(one: string, other: string): boolean {
  const isTier = (target: string): boolean => target === 'local' || target === 'cloud';
  return one !== other && isTier(one) === isTier(other);
}
