import { type FaultCase, readFaultTitle } from './fault-test.ts';
import { faultRows } from './rows.ts';

/** How one test of the table went. */
export interface FaultOutcome {
  /** As `faultTest` named it. */
  readonly title: string;
  /** `skip` with its reason. */
  readonly result: 'pass' | 'fail' | { readonly skip: string };
}

/** Names of subjects in front of a sentence, which are told together. */
const subjectPrefix = /^(openai-compatible, local|openai-compatible, cloud|gemini): /;

/** The Markdown table of all rows: each with what was shown, within which bound, and how it went. */
export function faultTable(outcomes: readonly FaultOutcome[]): string {
  const cases = outcomes.flatMap(({ title, result }) => {
    const read = readFaultTitle(title);
    return read === undefined ? [] : [{ ...read, result }];
  });
  const lines = faultRows.flatMap(({ row, fault, elsewhere }) => {
    if (elsewhere !== undefined) return [`| ${row} | ${fault} | | | skip: ${elsewhere} |`];
    const own = grouped(cases.filter((each) => each.row === row));
    if (own.length === 0) return [`| ${row} | ${fault} | | | **no test ran** |`];
    return own.map(
      ({ what, bound, result }, at) => `| ${at === 0 ? `${row} | ${fault}` : ' | '} | ${what} | ${bound} | ${result} |`,
    );
  });
  return ['| # | fault | what is shown | bound | result |', '|---|---|---|---|---|', ...lines, ''].join('\n');
}

function grouped(
  cases: readonly (FaultCase & Pick<FaultOutcome, 'result'>)[],
): readonly { readonly what: string; readonly bound: string; readonly result: string }[] {
  const groups = new Map<string, { what: string; bound: string; subjects: string[]; results: Set<string> }>();
  for (const { what, bound, result } of cases) {
    const [, subject] = subjectPrefix.exec(what) ?? [];
    const sentence = subject === undefined ? what : what.replace(subjectPrefix, '');
    const key = subject === undefined ? `alone ${what} ${bound}` : `${sentence} ${bound}`;
    const group = groups.get(key) ?? { what: sentence, bound, subjects: [], results: new Set() };
    if (subject !== undefined) group.subjects.push(subject);
    group.results.add(typeof result === 'string' ? result : `skip: ${result.skip}`);
    groups.set(key, group);
  }
  return Array.from(groups.values(), ({ what, bound, subjects, results }) => ({
    what: subjects.length === 0 ? what : `${what} (${subjects.join('; ')})`,
    bound,
    result: [...results].map((result) => (result === 'fail' ? '**fail**' : result)).join(', '),
  }));
}
