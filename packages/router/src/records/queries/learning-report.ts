import {
  type CascadePoint,
  type LearningReport,
  type ReliabilityBin,
  type TrendRange,
  trendRanges,
} from '../history.ts';
import type { Store } from '../tables.ts';
import { readJudged, type JudgedAnswerRow } from './judged.ts';

const maxSample = 5_000;
const bins = 10;
/** A rarer label would stand for more answers than can be believed of one. */
const leastPropensity = 0.005;

/** One scored answer; `weight` is how many it stands for, 0 without a label. */
interface Scored {
  readonly row: JudgedAnswerRow;
  readonly score: number;
  readonly right: number | undefined;
  readonly weight: number;
}

/** What labels say of local answers: whether scores mean what they say, what a threshold does, and by whom. */
export async function learningReport(store: Store, range: TrendRange, nowMs: number): Promise<LearningReport> {
  const judged = await readJudged(store, { sinceMs: nowMs - trendRanges[range].spanMs, limit: maxSample });
  const scored = judged.flatMap((row) => (row.score === null ? [] : [scoredOf(row, row.score)]));
  const labelled = scored.filter(({ right }) => right !== undefined);
  const judgedNow = scored.filter(({ row }) => row.policy !== 'shadow');
  const [kept, escalated] = [true, false].map((stays) =>
    judgedNow.filter(({ row }) => (row.verdict === 'commit') === stays && row.policy === 'judge'),
  );
  return {
    range,
    judged: judged.length,
    labelled: labelled.length,
    bySource: countBy(labelled.map(({ row }) => row.label?.source ?? '')),
    reliability: reliabilityOf(labelled),
    cascade: cascadeOf(labelled),
    rightOfKept: rightShare(kept ?? []),
    rightOfEscalated: rightShare(escalated ?? []),
    shadow: shadowOf(scored.filter(({ row }) => row.policy === 'shadow')),
    models: groupsOf(scored, ({ model }) => model),
    keys: groupsOf(scored, ({ clientKey }) => clientKey ?? ''),
  };
}

function scoredOf(row: JudgedAnswerRow, score: number): Scored {
  const { label } = row;
  if (label === undefined) return { row, score, right: undefined, weight: 0 };
  return { row, score, right: label.label, weight: label.weight / Math.max(label.propensity, leastPropensity) };
}

function reliabilityOf(labelled: readonly Scored[]): readonly ReliabilityBin[] {
  const groups = Map.groupBy(labelled, ({ score }) => Math.min(bins - 1, Math.floor(score * bins)));
  return [...groups]
    .toSorted(([a], [b]) => a - b)
    .map(([, answers]) => ({
      score: answers.reduce((sum, { score }) => sum + score, 0) / answers.length,
      good: rightShare(answers) ?? 0,
      count: answers.length,
    }));
}

/** From all local to all cloud: where the cloud answers it is taken to be right, as labels of agreement mean it. */
function cascadeOf(labelled: readonly Scored[]): readonly CascadePoint[] {
  if (labelled.length < leastForCurve) return [];
  const total = labelled.reduce((sum, { weight }) => sum + weight, 0);
  return Array.from({ length: 21 }, (_, step) => {
    const threshold = step / 20;
    let cloud = 0;
    let right = 0;
    for (const { score, weight, right: isRight = 0 } of labelled) {
      if (score < threshold) cloud += weight;
      right += weight * (score < threshold ? 1 : isRight);
    }
    return { threshold, cloudShare: cloud / total, quality: right / total };
  });
}

function shadowOf(rows: readonly Scored[]): LearningReport['shadow'] {
  if (rows.length === 0) return null;
  const stay = rows.filter(({ row }) => row.verdict === 'commit');
  const known = rows.filter(({ right }) => right !== undefined);
  const harm = known.filter(({ row, right }) => row.verdict === 'commit' && right === 0).length;
  return {
    answers: rows.length,
    couldStay: stay.length / rows.length,
    harm: known.length === 0 ? null : harm / known.length,
    labelled: known.length,
  };
}

function groupsOf(scored: readonly Scored[], nameOf: (row: JudgedAnswerRow) => string): LearningReport['models'] {
  return [...Map.groupBy(scored, ({ row }) => nameOf(row))]
    .map(([name, rows]) => ({
      name,
      answers: rows.length,
      kept: rows.filter(({ row }) => row.verdict === 'commit').length,
      labelled: rows.filter(({ right }) => right !== undefined).length,
      right: rightShare(rows) ?? null,
      calibration: rows[0]?.row.calibration ?? null,
      isPrior: rows[0]?.row.isPrior ?? false,
    }))
    .toSorted((a, b) => b.answers - a.answers)
    .slice(0, mostGroups);
}

function rightShare(rows: readonly Scored[]): number | null {
  let right = 0;
  let total = 0;
  for (const { right: isRight, weight } of rows) {
    if (isRight === undefined) continue;
    right += weight * isRight;
    total += weight;
  }
  return total === 0 ? null : right / total;
}

function countBy(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

const leastForCurve = 20;
const mostGroups = 50;
