import { type Figure, isKept } from '../figure.ts';
import { type FaultCase, readFaultTitle } from './fault-test.ts';
import { faultRows } from './rows.ts';

/** How one test of the table went. */
export interface FaultOutcome {
  /** As `faultTest` named it. */
  readonly title: string;
  /** `skip` with its reason. */
  readonly result: 'pass' | 'fail' | { readonly skip: string };
  /** What it has measured. */
  readonly figures: readonly Figure[];
}

/** Names of subjects in front of a sentence, which are told together. */
const subjectPrefix = /^(openai-compatible, local|openai-compatible, cloud|gemini): /;

/** The Markdown table of all rows: each with what was shown, within which bound, what was measured, and how it went. */
export function faultTable(outcomes: readonly FaultOutcome[]): string {
  const cases = outcomes.flatMap(({ title, ...outcome }) => {
    const read = readFaultTitle(title);
    return read === undefined ? [] : [{ ...read, ...outcome }];
  });
  const lines = faultRows.flatMap(({ row, fault, elsewhere }) => {
    if (elsewhere !== undefined) return [`| ${row} | ${fault} | | | | elsewhere: ${elsewhere} |`];
    const own = grouped(cases.filter((each) => each.row === row));
    if (own.length === 0) return [`| ${row} | ${fault} | | | | **no test ran** |`];
    return own.map(
      ({ what, bound, measured, result }, at) =>
        `| ${at === 0 ? `${row} | ${fault}` : ' | '} | ${what} | ${bound} | ${measured} | ${result} |`,
    );
  });
  const head = ['| # | fault | what is shown | bound | measured | result |', '|---|---|---|---|---|---|'];
  return [...head, ...lines, ''].join('\n');
}

function grouped(
  cases: readonly (FaultCase & Omit<FaultOutcome, 'title'>)[],
): readonly { readonly what: string; readonly bound: string; readonly measured: string; readonly result: string }[] {
  const groups = new Map<
    string,
    { what: string; bound: string; subjects: string[]; results: Set<string>; figures: Figure[] }
  >();
  for (const { what, bound, result, figures } of cases) {
    const [, subject] = subjectPrefix.exec(what) ?? [];
    const sentence = subject === undefined ? what : what.replace(subjectPrefix, '');
    const key = subject === undefined ? `alone ${what} ${bound}` : `${sentence} ${bound}`;
    const group = groups.get(key) ?? { what: sentence, bound, subjects: [], results: new Set(), figures: [] };
    if (subject !== undefined) group.subjects.push(subject);
    group.results.add(typeof result === 'string' ? result : `skip: ${result.skip}`);
    if (figures.some((figure) => !isKept(figure))) group.results.add('over');
    group.figures.push(...figures);
    groups.set(key, group);
  }
  return Array.from(groups.values(), ({ what, bound, subjects, results, figures }) => ({
    what: subjects.length === 0 ? what : `${what} (${subjects.join('; ')})`,
    bound,
    measured: worstOf(figures),
    result: [...results].map((result) => (['fail', 'over'].includes(result) ? `**${result}**` : result)).join(', '),
  }));
}

/** Of what was measured several times, the worst. */
function worstOf(figures: readonly Figure[]): string {
  const worst = new Map<string, Figure>();
  for (const figure of figures) {
    const other = worst.get(figure.what);
    const isWorse = other === undefined || figure.value > other.value === (figure.is === 'most');
    if (isWorse) worst.set(figure.what, figure);
  }
  const texts = Array.from(worst.values(), ({ what, value, unit, bound }) => {
    const digits = bound < 10 ? 2 : 0;
    return `${what}: ${value.toFixed(digits)} of ${bound.toFixed(digits)} ${unit}`;
  });
  return texts.join('; ').replaceAll('|', '\\|');
}
