import {
  type ConfidenceReport,
  type JudgedOutcome,
  type ReliabilityBin,
  type ReplayPoint,
  type TrendRange,
  trendRanges,
} from '../history.ts';
import type { AttemptView } from '../request-view.ts';
import type { Store } from '../tables.ts';
import { attemptsOf } from '../request-record.ts';
import { firstIdAt } from '../../core/id-time.ts';

/** Attempts are JSON, which each database reads in its own way: so they are read here, and no more than this many. */
const maxSample = 5_000;
/** Taken from the database and judged in one turn of the event loop: some 5 ms. */
const rowsAtOnce = 250;
const histogramBins = 20;
const reliabilityBins = 10;

/** One judged local answer. */
interface Judged {
  readonly score: number | null;
  readonly outcome: JudgedOutcome;
  /** What feedback says of the local answer; `undefined` without any. */
  readonly isGood: boolean | undefined;
}

/** How the scores of local answers spread, whether they mean anything, and what other thresholds would have done. */
export async function confidenceReport(store: Store, range: TrendRange, nowMs: number): Promise<ConfidenceReport> {
  const rows: SampledRow[] = [];
  const judged: Judged[] = [];
  let isMore = true;
  while (isMore && rows.length < maxSample) {
    const some = await rowsOf(store, nowMs - trendRanges[range].spanMs, rows.at(-1)?.id);
    rows.push(...some);
    judged.push(...some.map(judgedOf).filter((answer) => answer !== undefined));
    isMore = some.length === rowsAtOnce;
  }
  const scored = judged.filter((answer) => answer.score !== null);
  const prices = rows.flatMap(({ route, cost_usd: usd }) => (route === 'cloud' && usd !== null ? [usd] : []));
  return {
    range,
    sampled: rows.length,
    isCapped: rows.length === maxSample,
    threshold: rows[0]?.threshold ?? null,
    histogram: histogramOf(judged),
    withoutScore: judged.length - scored.length,
    reliability: reliabilityOf(judged),
    labelled: judged.filter(({ isGood, score }) => isGood !== undefined && score !== null).length,
    replay: replayOf(judged, rows[0]?.threshold),
    cloudAnswerUsd: prices.length === 0 ? null : prices.reduce((sum, usd) => sum + usd, 0) / prices.length,
  };
}

/** The latest requests, or those before one, the newest first: a walk along the primary key, as ids sort by time. */
function rowsOf({ db }: Store, fromMs: number, before: string | undefined) {
  const walk = db
    .selectFrom('requests')
    .leftJoin('feedback', 'feedback.request_id', 'requests.id')
    .select([
      'requests.id',
      'requests.attempts',
      'requests.route',
      'requests.degraded',
      'requests.threshold',
      'requests.mode',
      'requests.cost_usd',
      'feedback.verdict',
      'feedback.expected_route',
    ])
    .where('requests.id', '>=', firstIdAt(fromMs))
    .where('requests.time_ms', '>=', fromMs)
    .orderBy('requests.id', 'desc')
    .limit(rowsAtOnce);
  return (before === undefined ? walk : walk.where('requests.id', '<', before)).execute();
}

type SampledRow = Awaited<ReturnType<typeof rowsOf>>[number];

/** The last local answer that was judged; `undefined` where none was, or where it had to stay whatever its score. */
function judgedOf(row: SampledRow): Judged | undefined {
  if (row.mode === 'local') return undefined;
  const attempt = attemptsOf(row.attempts).findLast(
    ({ tier, outcome }) => tier === 'local' && (outcome === 'answered' || outcome === 'escalated'),
  );
  if (attempt === undefined) return undefined;
  return { score: attempt.score, outcome: outcomeOf(attempt, row.degraded === 1), isGood: labelOf(row) };
}

function outcomeOf({ outcome, reason }: AttemptView, isDegraded: boolean): JudgedOutcome {
  if (isDegraded) return 'degraded';
  if (outcome === 'answered') return 'kept';
  return reason === 'low_confidence' ? 'escalated' : 'refused';
}

/** A verdict is on the answer that was given; of a local answer that was not given only the wished-for route tells. */
function labelOf({ route, verdict, expected_route: expected }: SampledRow): boolean | undefined {
  if (expected !== null) return expected === 'local';
  if (verdict === null || route !== 'local') return undefined;
  return verdict === 'good';
}

function histogramOf(judged: readonly Judged[]): ConfidenceReport['histogram'] {
  const empty = (): number[] => Array.from({ length: histogramBins }, () => 0);
  const histogram = { kept: empty(), escalated: empty(), refused: empty(), degraded: empty() };
  for (const { score, outcome } of judged) {
    if (score === null) continue;
    const bins = histogram[outcome];
    const bin = binOf(score, histogramBins);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  return histogram;
}

function reliabilityOf(judged: readonly Judged[]): readonly ReliabilityBin[] {
  const bins = Map.groupBy(
    judged.flatMap(({ score, isGood }) => (score === null || isGood === undefined ? [] : [{ score, isGood }])),
    ({ score }) => binOf(score, reliabilityBins),
  );
  return [...bins]
    .toSorted(([a], [b]) => a - b)
    .map(([, answers]) => ({
      score: answers.reduce((sum, { score }) => sum + score, 0) / answers.length,
      good: answers.filter(({ isGood }) => isGood).length / answers.length,
      count: answers.length,
    }));
}

/** At the present threshold: what the histogram shows as kept stays, and what it shows as escalated or degraded goes. */
function replayOf(judged: readonly Judged[], present: number | undefined): readonly ReplayPoint[] {
  const scored = judged.flatMap(({ score, outcome, isGood }) =>
    score === null || outcome === 'refused' ? [] : [{ score, isGood }],
  );
  const steps = Array.from({ length: histogramBins + 1 }, (_, index) => index / histogramBins);
  const thresholds = new Set(present === undefined ? steps : [...steps, present]);
  return [...thresholds]
    .toSorted((a, b) => a - b)
    .map((threshold) => {
      const kept = scored.filter(({ score }) => score >= threshold);
      return {
        threshold,
        kept: kept.length,
        escalated: scored.length - kept.length,
        keptGood: kept.filter(({ isGood }) => isGood === true).length,
        keptBad: kept.filter(({ isGood }) => isGood === false).length,
      };
    });
}

function binOf(score: number, bins: number): number {
  return Math.min(bins - 1, Math.max(0, Math.floor(score * bins)));
}
