import type { Mode } from '../core/request.ts';

/** A rule that gives the unknown names of models a mode. */
export interface NameRule {
  /** A name with stars; the text between them must be whole words, bounded by anything but a letter. */
  readonly match: string;
  readonly mode: Mode;
}

/** Agents ask for small models of several vendors on their own, under names that change with every release. */
const builtInNameRules: readonly NameRule[] = [
  { match: '*haiku*', mode: 'auto' },
  { match: '*mini*', mode: 'auto' },
  { match: '*flash-lite*', mode: 'auto' },
];

/** Makes the look-up of the rule for a name among the built-in ones and, after them, the operator's; the last match wins. */
export function nameRuleFinder(ownRules: () => readonly NameRule[]): (name: string) => NameRule | undefined {
  let known: readonly NameRule[] | undefined;
  let compiled: readonly { readonly rule: NameRule; readonly pattern: RegExp }[] = [];
  return (name) => {
    const own = ownRules();
    if (own !== known) {
      known = own;
      compiled = [...builtInNameRules, ...own].map((rule) => ({ rule, pattern: patternOf(rule.match) }));
    }
    return compiled.findLast(({ pattern }) => pattern.test(name))?.rule;
  };
}

/** Stars match anything; what is between them must stand as a word. */
function patternOf(match: string): RegExp {
  const source = match
    .split('*')
    .map((part) => (part === '' ? '' : `(?<![A-Za-z])${part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![A-Za-z])`))
    .join('.*?');
  return new RegExp(`^${source}$`, 'is');
}
