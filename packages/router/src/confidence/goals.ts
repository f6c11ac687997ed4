/** One local answer with what is known of it. */
export interface GoalRow {
  /** 0..1 */
  readonly score: number;
  /** 1 right, 0 wrong. */
  readonly localRight: number;
  /** Whether the cloud's answer is right; 1 where nobody knows. */
  readonly cloudRight: number;
  /** How many answers it stands for. */
  readonly weight: number;
}

/** A threshold, and where the goal stands at it. */
export interface GoalEstimate {
  readonly threshold: number;
  readonly estimate: number;
  /** 10 % and 90 % quantiles. */
  readonly interval: readonly [number, number];
}

/**
 * The threshold below which the given share of the scores lies.
 * @param sorted ascending
 */
export function thresholdForShare(sorted: readonly number[], share: number): number {
  if (share <= 0) return 0;
  const index = Math.floor(share * sorted.length);
  return index >= sorted.length ? 1 : (sorted[index] ?? 1);
}

/**
 * The most lenient threshold at which the accuracy of the whole, local answers above it and the cloud's below, reaches a
 * share of the cloud's with 90 % confidence (bootstrap over the rows). Undefined where not even the cloud alone does.
 */
export function thresholdForQuality(
  rows: readonly GoalRow[],
  target: number,
  random: () => number,
): GoalEstimate | undefined {
  const sorted = rows.toSorted((a, b) => a.score - b.score);
  const cuts = candidates(sorted);
  const draws = Array.from({ length: resamples }, () => qualities(sorted, cuts, drawWeights(sorted, random)));
  for (const [place, from] of cuts.entries()) {
    const ratios = draws.map((ratiosOf) => ratiosOf[place] ?? 0).toSorted((a, b) => a - b);
    const [low, high] = [quantile(ratios, 0.1), quantile(ratios, 0.9)];
    if (low >= target)
      return {
        threshold: cut(sorted, from),
        estimate: qualities(sorted, [from], weightsOf(sorted))[0] ?? 0,
        interval: [low, high],
      };
  }
  return undefined;
}

/** Accuracy at a threshold as a share of the cloud's, with its interval. */
export function qualityAtThreshold(
  rows: readonly GoalRow[],
  threshold: number,
  random: () => number,
): Omit<GoalEstimate, 'threshold'> {
  const sorted = rows.toSorted((a, b) => a.score - b.score);
  const found = sorted.findIndex(({ score }) => score >= threshold);
  const cuts = [found < 0 ? sorted.length : found];
  const ratioOf = (weights: readonly number[]): number => qualities(sorted, cuts, weights)[0] ?? 0;
  const values = Array.from({ length: resamples }, () => ratioOf(drawWeights(sorted, random)));
  values.sort((a, b) => a - b);
  return { estimate: ratioOf(weightsOf(sorted)), interval: [quantile(values, 0.1), quantile(values, 0.9)] };
}

/**
 * The most lenient threshold at which the share of requests with a local answer worse than the cloud's is below a bound
 * with 97.5 % confidence (upper Wilson limit), found in fixed sequence from the strictest on. A bound in expectation alone
 * (conformal risk control) would keep a fifth more and be missed as often as held. Undefined where too few rows allow any
 * bound so small.
 */
export function thresholdForRisk(rows: readonly GoalRow[], bound: number): GoalEstimate | undefined {
  const sorted = rows.toSorted((a, b) => a.score - b.score);
  const weights = weightsOf(sorted);
  const total = sum(weights);
  const count = effectiveCount(weights);
  const limit = (risk: number): number => wilson(risk, count, riskZ)[1];
  if (rows.length === 0 || limit(0) > bound) return undefined;
  let worse = 0;
  let found = { from: sorted.length, risk: 0 };
  for (let from = sorted.length - 1; from >= 0; from -= 1) {
    const row = sorted[from];
    if (row === undefined) break;
    worse += lossOf(row) * (weights[from] ?? 0);
    // Rows of one score stay or go together.
    if (from > 0 && sorted[from - 1]?.score === row.score) continue;
    const risk = worse / total;
    if (limit(risk) > bound) break;
    found = { from, risk };
  }
  return { threshold: cut(sorted, found.from), estimate: found.risk, interval: wilson(found.risk, count, z80) };
}

/** Share of requests with a local answer worse than the cloud's at a threshold, with its interval. */
export function riskAtThreshold(rows: readonly GoalRow[], threshold: number): Omit<GoalEstimate, 'threshold'> {
  const weights = weightsOf(rows);
  const total = sum(weights);
  const worse = rows.reduce(
    (risk, row, index) => risk + (row.score >= threshold ? lossOf(row) * (weights[index] ?? 0) : 0),
    0,
  );
  return { estimate: worse / total, interval: wilson(worse / total, effectiveCount(weights), z80) };
}

/** Accuracy as a share of the cloud's where rows from each cut on stay local; one pass, cuts ascending. */
function qualities(sorted: readonly GoalRow[], cuts: readonly number[], weights: readonly number[]): readonly number[] {
  let got = 0;
  let cloud = 0;
  for (const [index, { localRight, cloudRight }] of sorted.entries()) {
    got += (weights[index] ?? 0) * localRight;
    cloud += (weights[index] ?? 0) * cloudRight;
  }
  let at = 0;
  return cuts.map((from) => {
    for (; at < from; at += 1) {
      const row = sorted[at];
      if (row !== undefined) got += (weights[at] ?? 0) * (row.cloudRight - row.localRight);
    }
    return cloud === 0 ? 0 : got / cloud;
  });
}

function lossOf({ localRight, cloudRight }: GoalRow): number {
  return Math.max(0, cloudRight - localRight);
}

/** First rows that may stay local: at most so many, so that a look takes milliseconds. */
function candidates(sorted: readonly GoalRow[]): readonly number[] {
  const step = Math.max(1, Math.floor(sorted.length / 60));
  const all: number[] = [];
  for (let from = 0; from < sorted.length; from += step) all.push(firstOfTies(sorted, from));
  return [...all, sorted.length];
}

function firstOfTies(sorted: readonly GoalRow[], from: number): number {
  let first = from;
  while (first > 0 && sorted[first - 1]?.score === sorted[first]?.score) first -= 1;
  return first;
}

/** The threshold at which exactly the rows from `from` on stay. */
function cut(sorted: readonly GoalRow[], from: number): number {
  const [below, above] = [sorted[from - 1]?.score, sorted[from]?.score];
  if (above === undefined) return 1;
  return below === undefined ? 0 : (below + above) / 2;
}

function weightsOf(rows: readonly GoalRow[]): readonly number[] {
  return rows.map(({ weight }) => weight);
}

function drawWeights(rows: readonly GoalRow[], random: () => number): readonly number[] {
  const counts = new Float64Array(rows.length);
  for (let draw = 0; draw < rows.length; draw += 1) {
    const index = Math.floor(random() * rows.length);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return rows.map(({ weight }, index) => weight * (counts[index] ?? 0));
}

/** Rows that equal weights would need for the same certainty. */
function effectiveCount(weights: readonly number[]): number {
  const total = sum(weights);
  return (total * total) / sum(weights.map((weight) => weight * weight));
}

/** Interval of a share, `z` deviations to each side (Wilson). */
function wilson(share: number, count: number, z: number): readonly [number, number] {
  const centre = (share + (z * z) / (2 * count)) / (1 + (z * z) / count);
  const half = (z / (1 + (z * z) / count)) * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

function quantile(sorted: readonly number[], at: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))] ?? 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const resamples = 200;
/** 10 % and 90 %; 97.5 %. */
const z80 = 1.2816;
const riskZ = 1.96;

/**
 * Keeps a share over time: each request moves the quantile at which answers escalate a little towards the share wanted,
 * so that the threshold follows drift that no table of scores knows of (online quantile tracking, Angelopoulos et al. 2023).
 */
export class ShareTracker {
  #share: number;
  #quantile: number;
  /** Exponential mean of what was observed; undefined before the first. */
  #observed: number | undefined;
  #count = 0;

  constructor(share: number) {
    this.#share = share;
    this.#quantile = share;
  }

  /** The share of judged answers to escalate now. */
  get quantile(): number {
    return this.#quantile;
  }

  /** The share lately, over some two hundred requests; undefined before the first. */
  get observed(): number | undefined {
    return this.#observed;
  }

  get count(): number {
    return this.#count;
  }

  /** Another goal; the quantile moves by as much. */
  aim(share: number): void {
    this.#quantile = clamp(this.#quantile + share - this.#share);
    this.#share = share;
  }

  /** @param spent 1 where the cloud answered, 0 where it did not; of money the price as a share of the usual one */
  observe(spent: number): void {
    this.#count += 1;
    this.#quantile = clamp(this.#quantile - rate * (spent - this.#share));
    const memory = Math.max(1 / 200, 1 / this.#count);
    this.#observed = (this.#observed ?? 0) + memory * (spent - (this.#observed ?? 0));
  }
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}

const rate = 0.02;
