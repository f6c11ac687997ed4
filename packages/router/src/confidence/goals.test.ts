import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type GoalRow,
  qualityAtThreshold,
  riskAtThreshold,
  ShareTracker,
  thresholdForQuality,
  thresholdForRisk,
  thresholdForShare,
} from './goals.ts';

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** Answers that are right as often as their score says. */
function calibrated(count: number, random: () => number): readonly GoalRow[] {
  return Array.from({ length: count }, () => {
    const score = random();
    return { score, localRight: random() < score ? 1 : 0, cloudRight: 1, weight: 1 };
  });
}

test('a share is a quantile of the scores', () => {
  const sorted = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
  assert.equal(thresholdForShare(sorted, 0), 0);
  assert.equal(thresholdForShare(sorted, 0.3), 0.4);
  assert.equal(sorted.filter((score) => score < thresholdForShare(sorted, 0.3)).length, 3);
  assert.equal(thresholdForShare(sorted, 1), 1);
});

test('a stricter quality needs a higher threshold and is really reached', () => {
  const rows = calibrated(2_000, seeded(1));
  const [low, high] = [0.8, 0.95].map((target) => thresholdForQuality(rows, target, seeded(2)));
  assert.ok(low !== undefined && high !== undefined && low.threshold < high.threshold);
  const fresh = calibrated(4_000, seeded(3));
  assert.ok(qualityAtThreshold(fresh, high.threshold, seeded(4)).estimate >= 0.94);
  assert.ok(low.interval[0] >= 0.8 && low.estimate >= low.interval[0]);
});

test('where the local model is always right nothing needs the cloud, where it never is everything does', () => {
  const all = (right: number): readonly GoalRow[] =>
    Array.from({ length: 100 }, (_, index) => ({ score: index / 100, localRight: right, cloudRight: 1, weight: 1 }));
  assert.equal(thresholdForQuality(all(1), 0.95, seeded(1))?.threshold, 0);
  const strict = thresholdForQuality(all(0), 0.95, seeded(1))?.threshold ?? 0;
  assert.ok(strict > 0.93 && strict < 0.98, String(strict));
  assert.equal(thresholdForRisk(all(1), 0.05)?.threshold, 0);
});

test('the bound on the risk holds on fresh answers, all but rarely', () => {
  const bound = 0.05;
  const risks = Array.from({ length: 200 }, (_, round) => {
    const random = seeded(round + 10);
    const found = thresholdForRisk(calibrated(300, random), bound);
    return riskAtThreshold(calibrated(300, random), found?.threshold ?? 1).estimate;
  });
  const average = risks.reduce((sum, risk) => sum + risk, 0) / risks.length;
  assert.ok(average <= bound, String(average));
  assert.ok(average > bound / 4, 'it is not needlessly strict');
  const broken = risks.filter((risk) => risk > bound).length / risks.length;
  assert.ok(broken < 0.1, String(broken));
});

test('too few rows allow no small risk', () => {
  assert.equal(thresholdForRisk(calibrated(30, seeded(1)), 0.02), undefined);
});

test('a rare row stands for many', () => {
  const rows: GoalRow[] = [
    { score: 0.9, localRight: 0, cloudRight: 1, weight: 50 },
    ...Array.from({ length: 50 }, () => ({ score: 0.9, localRight: 1, cloudRight: 1, weight: 1 })),
  ];
  assert.equal(riskAtThreshold(rows, 0.5).estimate, 0.5);
});

test('tracking keeps the share when scores drift', () => {
  const random = seeded(5);
  const tracker = new ShareTracker(0.3);
  const sorted = Array.from({ length: 200 }, (_, index) => index / 200);
  let cloud = 0;
  for (let request = 0; request < 2_000; request += 1) {
    // The scores are lower than those the table was made of.
    const score = random() * 0.6;
    const goes = score < thresholdForShare(sorted, tracker.quantile) ? 1 : 0;
    tracker.observe(goes);
    cloud += goes;
  }
  assert.ok(Math.abs(cloud / 2_000 - 0.3) < 0.02, String(cloud / 2_000));
});
