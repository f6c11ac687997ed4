import { seededRandom } from '@lfo/router/src/confidence/fitting/random.ts';
import { mean, type Scored } from '../statistics.ts';

/** Area under the ROC curve by ranks, ties half: O(n log n). NaN without both kinds. */
export function rankAuroc(scores: readonly number[], isRight: readonly boolean[]): number {
  const order = scores.map((_, index) => index).toSorted((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0));
  let rightRanks = 0;
  let right = 0;
  for (let from = 0; from < order.length;) {
    let to = from + 1;
    while (to < order.length && scores[order[to] ?? 0] === scores[order[from] ?? 0]) to += 1;
    for (let index = from; index < to; index += 1) {
      if (isRight[order[index] ?? 0] !== true) continue;
      right += 1;
      rightRanks += (from + to + 1) / 2;
    }
    from = to;
  }
  const wrong = order.length - right;
  return (rightRanks - (right * (right + 1)) / 2) / (right * wrong);
}

/** Mean squared distance of scores and outcomes. */
export function brier(rows: readonly Scored[]): number {
  return mean(rows.map(({ score, isRight }) => (score - Number(isRight)) ** 2));
}

/** Expected calibration error over ten bins of equal count, and the noise a perfect score of this size would show. */
export function calibrationError(rows: readonly Scored[]): { readonly error: number; readonly floor: number } {
  const bins = 10;
  const sorted = rows.toSorted((a, b) => a.score - b.score);
  let error = 0;
  for (let bin = 0; bin < bins; bin += 1) {
    const part = sorted.slice(Math.floor((bin * rows.length) / bins), Math.floor(((bin + 1) * rows.length) / bins));
    const gap = mean(part.map(({ score }) => score)) - mean(part.map(({ isRight }) => Number(isRight)));
    error += (Math.abs(gap) * part.length) / rows.length;
  }
  const variance = mean(rows.map(({ score }) => score * (1 - score)));
  return { error, floor: 0.8 * Math.sqrt((variance * bins) / rows.length) };
}

/** 95 % interval of a statistic of resampled rows (bootstrap over ids, percentiles). */
export function bootstrap(
  size: number,
  statistic: (rows: readonly number[]) => number,
  rounds = 1_000,
): readonly [number, number] {
  const random = seededRandom(7);
  const values: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const value = statistic(Array.from({ length: size }, () => Math.floor(random() * size)));
    if (Number.isFinite(value)) values.push(value);
  }
  values.sort((a, b) => a - b);
  return [
    values[Math.floor(values.length * 0.025)] ?? Number.NaN,
    values[Math.floor(values.length * 0.975)] ?? Number.NaN,
  ];
}

/**
 * Area under the performance-gap-recovered curve: the strong model answers what scores lowest, at shares of 0 to 1 in
 * steps of a tenth (trapezoid). 0.5 is random; 1 recovers the whole gap at once.
 */
export function apgr(scores: readonly number[], weak: readonly number[], strong: readonly number[]): number {
  const curve = recovered(scores, weak, strong, 10);
  let area = 0;
  for (let step = 0; step + 1 < curve.length; step += 1) area += ((curve[step] ?? 0) + (curve[step + 1] ?? 0)) / 2;
  return area / (curve.length - 1);
}

function recovered(
  scores: readonly number[],
  weak: readonly number[],
  strong: readonly number[],
  steps: number,
): readonly number[] {
  const order = scores.map((_, index) => index).toSorted((a, b) => (scores[a] ?? 0) - (scores[b] ?? 0));
  const [low, high] = [mean(weak), mean(strong)];
  let quality = low * scores.length;
  const curve: number[] = [0];
  let taken = 0;
  for (let step = 1; step <= steps; step += 1) {
    const until = Math.round((step * order.length) / steps);
    for (; taken < until; taken += 1) {
      const index = order[taken] ?? 0;
      quality += (strong[index] ?? 0) - (weak[index] ?? 0);
    }
    curve.push((quality / order.length - low) / (high - low));
  }
  return curve;
}

/** A figure with three decimals and without a leading zero; a dash where there is none. */
export function figure(value: number, digits = 3): string {
  return Number.isFinite(value) ? value.toFixed(digits).replace(/^(-?)0\./, '$1.') : '–';
}

/** An interval as `[a, b]`. */
export function interval([from, to]: readonly [number, number]): string {
  return `[${figure(from)}, ${figure(to)}]`;
}

/** A Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
