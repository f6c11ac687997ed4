import {
  type GoalRow,
  qualityAtThreshold,
  riskAtThreshold,
  ShareTracker,
  thresholdForQuality,
  thresholdForRisk,
  thresholdForShare,
} from '@lfo/router/src/confidence/goals.ts';
import { seededRandom } from '@lfo/router/src/confidence/fitting/random.ts';
import { readMaterial } from '../fit/material.ts';
import { mean } from '../statistics.ts';
import { outOfFoldScores } from './bfcl.ts';
import { figure, table } from './measures.ts';

const rounds = 200;

interface Halves {
  readonly known: readonly GoalRow[];
  readonly fresh: readonly GoalRow[];
}

/** Goals found on one half of the answers and held against the other, 200 times; the cloud is taken to be always right. */
export function goalsReport(data: URL): string {
  const material = readMaterial(data);
  const scores = outOfFoldScores(material, 1);
  const rows = material.examples.map(({ isRight }, index) => ({
    score: scores[index] ?? 0,
    localRight: Number(isRight),
    cloudRight: 1,
    weight: 1,
  }));
  const random = seededRandom(11);
  const splits = Array.from({ length: rounds }, () => halve(rows, random));
  return [
    `Goals on held-out halves: found on ${Math.floor(rows.length / 2)} answers, held against the others, ${rounds} random halves; out-of-fold scores, a cloud that is always right.`,
    table(
      ['goal', 'share reached (mean)', 'off by, 95 % of the halves', 'within 2 points'],
      [0.2, 0.4, 0.6].flatMap((share) => [
        [`cloud_share ${share}, quantile alone`, ...shareLine(splits, share, fixedShare)],
        [`cloud_share ${share}, tracked`, ...shareLine(splits, share, trackedShare)],
      ]),
    ),
    table(
      ['goal', 'reached (mean)', 'missed in', 'stays local', 'an oracle keeps'],
      [
        ...[0.9, 0.95].map((target) => [`quality ${target}`, ...qualityLine(splits, target)]),
        ...[0.02, 0.05, 0.1].map((bound) => [`risk ${bound}`, ...riskLine(splits, bound)]),
      ],
    ),
  ].join('\n\n');
}

function halve(rows: readonly GoalRow[], random: () => number): Halves {
  const order = rows.map((row) => ({ row, key: random() })).toSorted((a, b) => a.key - b.key);
  const half = Math.floor(rows.length / 2);
  return { known: order.slice(0, half).map(({ row }) => row), fresh: order.slice(half).map(({ row }) => row) };
}

type Reached = (halves: Halves, share: number) => number;

const fixedShare: Reached = ({ known, fresh }, share) => {
  const threshold = thresholdForShare(sorted(known), share);
  return mean(fresh.map(({ score }) => Number(score < threshold)));
};

const trackedShare: Reached = ({ known, fresh }, share) => {
  const scores = sorted(known);
  const tracker = new ShareTracker(share);
  return mean(
    fresh.map(({ score }) => {
      const isCloud = Number(score < thresholdForShare(scores, tracker.quantile));
      tracker.observe(isCloud);
      return isCloud;
    }),
  );
};

function shareLine(splits: readonly Halves[], share: number, reached: Reached): readonly string[] {
  const shares = splits.map((halves) => reached(halves, share));
  const off = shares.map((value) => Math.abs(value - share)).toSorted((a, b) => a - b);
  return [
    figure(mean(shares)),
    figure(off[Math.floor(0.95 * off.length)] ?? Number.NaN),
    `${Math.round(100 * mean(off.map((value) => Number(value <= 0.02))))} %`,
  ];
}

function qualityLine(splits: readonly Halves[], target: number): readonly string[] {
  const random = seededRandom(5);
  const results = splits.map(({ known, fresh }) => {
    const threshold = thresholdForQuality(known, target, random)?.threshold ?? 1;
    const { estimate } = qualityAtThreshold(fresh, threshold, random);
    return { estimate, kept: mean(fresh.map(({ score }) => Number(score >= threshold))), fresh };
  });
  return [
    figure(mean(results.map(({ estimate }) => estimate))),
    `${Math.round(100 * mean(results.map(({ estimate }) => Number(estimate < target))))} %`,
    figure(mean(results.map(({ kept }) => kept))),
    figure(mean(results.map(({ fresh }) => Math.min(1, baseOf(fresh) + 1 - target)))),
  ];
}

function riskLine(splits: readonly Halves[], bound: number): readonly string[] {
  const results = splits.map(({ known, fresh }) => {
    const threshold = thresholdForRisk(known, bound)?.threshold ?? 1;
    const { estimate } = riskAtThreshold(fresh, threshold);
    return { estimate, kept: mean(fresh.map(({ score }) => Number(score >= threshold))), fresh };
  });
  return [
    figure(mean(results.map(({ estimate }) => estimate))),
    `${Math.round(100 * mean(results.map(({ estimate }) => Number(estimate > bound))))} %`,
    figure(mean(results.map(({ kept }) => kept))),
    figure(mean(results.map(({ fresh }) => Math.min(1, baseOf(fresh) + bound)))),
  ];
}

function baseOf(rows: readonly GoalRow[]): number {
  return mean(rows.map(({ localRight }) => localRight));
}

function sorted(rows: readonly GoalRow[]): readonly number[] {
  return rows.map(({ score }) => score).toSorted((a, b) => a - b);
}
