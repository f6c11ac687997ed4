import { thresholdForQuality, thresholdForRisk, thresholdForShare } from '../confidence/goals.ts';
import type { JudgedAnswerRow } from '../records/queries/judged.ts';
import { goalRows } from './goal-rows.ts';

/** What a threshold does to recorded answers. */
export interface ReplayOutcome {
  readonly threshold: number;
  readonly kept: number;
  readonly escalated: number;
  /** Of the labelled answers among those kept, the share that is right; `null` without any. */
  readonly keptRight: number | null;
  readonly keptLabels: number;
  /** Of the labelled answers that go to the cloud, the share that was right already. */
  readonly escalatedRight: number | null;
  readonly escalatedLabels: number;
}

export interface Replay {
  readonly answers: number;
  readonly now: ReplayOutcome;
  readonly instead: ReplayOutcome;
  /** US dollars more (or less) that the cloud would have cost; `null` while no price is known. */
  readonly usd: number | null;
  /** Milliseconds that an answer takes longer (or shorter) on average; `null` while not measured. */
  readonly latencyMs: number | null;
}

/** Prices and times of what was recorded. */
export interface ReplayPrices {
  readonly cloudAnswerUsd: number | undefined;
  readonly cloudAnswerMs: number | undefined;
}

/** Answers as they are replayed: those whose fate a score decided. */
export function replayable(
  judged: readonly JudgedAnswerRow[],
): readonly (JudgedAnswerRow & { readonly score: number })[] {
  return judged.flatMap((row) => (row.score === null ? [] : [{ ...row, score: row.score }]));
}

/** What would have become of recorded answers under another threshold. */
export function replay(judged: readonly JudgedAnswerRow[], threshold: number, prices: ReplayPrices): Replay {
  const rows = replayable(judged);
  const now = outcome(rows, rows[0]?.threshold ?? threshold, ({ score, threshold: own }) => score >= own);
  const instead = outcome(rows, threshold, ({ score }) => score >= threshold);
  const moved = instead.escalated - now.escalated;
  const { cloudAnswerUsd: usd, cloudAnswerMs: ms } = prices;
  return {
    answers: rows.length,
    now,
    instead,
    usd: usd === undefined ? null : moved * usd,
    // The local answer is written either way: the cloud's time comes on top, or is saved.
    latencyMs: ms === undefined || rows.length === 0 ? null : (moved * ms) / rows.length,
  };
}

/** The threshold that a goal asks for on recorded answers; undefined where it cannot be told, or reached. */
export function thresholdForGoal(
  judged: readonly JudgedAnswerRow[],
  goal: { readonly name: 'cloud_share' | 'quality' | 'risk'; readonly target: number },
  random: () => number,
): number | undefined {
  const rows = replayable(judged);
  if (rows.length === 0) return undefined;
  const { name, target } = goal;
  if (name === 'cloud_share')
    return thresholdForShare(
      rows.map(({ score }) => score).toSorted((a, b) => a - b),
      target,
    );
  const labelled = goalRows(judged);
  if (labelled.length === 0) return undefined;
  return name === 'quality'
    ? thresholdForQuality(labelled, target, random)?.threshold
    : thresholdForRisk(labelled, target)?.threshold;
}

function outcome<Row extends JudgedAnswerRow>(
  rows: readonly Row[],
  threshold: number,
  stays: (row: Row) => boolean,
): ReplayOutcome {
  const [kept, gone] = [rows.filter(stays), rows.filter((row) => !stays(row))];
  const [keptRight, escalatedRight] = [kept, gone].map(rightShare);
  return {
    threshold,
    kept: kept.length,
    escalated: gone.length,
    keptRight: keptRight ?? null,
    keptLabels: kept.filter(({ label }) => label !== undefined).length,
    escalatedRight: escalatedRight ?? null,
    escalatedLabels: gone.filter(({ label }) => label !== undefined).length,
  };
}

/** Each labelled answer stands for as many as its chance of a label left out. */
function rightShare(rows: readonly JudgedAnswerRow[]): number | undefined {
  let right = 0;
  let total = 0;
  for (const { localRight, weight } of goalRows(rows)) {
    right += weight * localRight;
    total += weight;
  }
  return total === 0 ? undefined : right / total;
}
