import type { GateResult } from '../evaluate.ts';
import { mean } from '../statistics.ts';
import { bootstrap, brier, figure, interval, rankAuroc, table } from './measures.ts';

/** What the gate did with an answer whose rightness is known. */
export interface GradedResult {
  readonly result: GateResult;
  readonly isRight: boolean;
  /** How many calls a right answer has. */
  readonly expectedCalls: number;
}

const groups: readonly (readonly [string, (one: GradedResult) => boolean])[] = [
  ['all', () => true],
  ['one call is right', ({ expectedCalls }) => expectedCalls === 1],
  ['several calls are right', ({ expectedCalls }) => expectedCalls > 1],
  ['no call is right', ({ expectedCalls }) => expectedCalls === 0],
];

/** How well the scores tell right answers, and what the gate kept. An answer without a score counts as 0. */
export function gradeTable(graded: readonly GradedResult[]): string {
  const rows = groups.map(([name, isOf]) => {
    const some = graded.filter(isOf);
    const scored = some.map(({ result, isRight }) => ({ score: result.score ?? 0, isRight }));
    const auroc = (of: readonly number[]): number =>
      rankAuroc(
        of.map((index) => scored[index]?.score ?? 0),
        of.map((index) => scored[index]?.isRight ?? false),
      );
    const kept = some.filter(({ result }) => result.route === 'local');
    const escalated = some.filter(({ result }) => result.route === 'cloud');
    return [
      name,
      String(some.length),
      figure(shareRight(some)),
      `${figure(auroc(some.map((_, index) => index)))} ${interval(bootstrap(some.length, auroc))}`,
      figure(brier(scored)),
      figure(kept.length / some.length),
      figure(shareRight(kept)),
      figure(shareRight(escalated)),
    ];
  });
  return table(['', 'answers', 'right', 'AUROC [95 %]', 'Brier', 'kept', 'right of kept', 'right of escalated'], rows);
}

function shareRight(some: readonly GradedResult[]): number {
  return mean(some.map(({ isRight }) => Number(isRight)));
}
