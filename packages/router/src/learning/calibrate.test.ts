import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { featuresVersion } from '../confidence/features/features.ts';
import { seededRandom } from '../confidence/fitting/random.ts';
import { readCalibration } from '../confidence/heads/calibration.ts';
import { logistic, logit } from '../confidence/heads/head.ts';
import { parseJson } from '../core/json.ts';
import type { JudgedAnswerRow } from '../records/queries/judged.ts';
import { calibrate } from './calibrate.ts';
import { recordedAnswer, scoreRecorded } from './recorded-answer.ts';
import { replay, thresholdForGoal } from './replay.ts';

const file = new URL('../confidence/calibration/qwen2.5-coder-0.5b.json', import.meta.url);
const base = readCalibration(parseJson(readFileSync(file, 'utf8')) ?? null);

/** A text whose first tokens surprised the model so much, labelled right or wrong, or not at all. */
function textRow(index: number, nats: number, isRight: boolean | undefined, threshold = 0.7): JudgedAnswerRow {
  const features = { opening_nats: nats };
  const answer = recordedAnswer(features, { text_score: 0.5 });
  const score = answer === undefined ? null : (scoreRecorded(base.heads, answer) ?? null);
  return {
    requestId: `r${index}`,
    attempt: 0,
    timeMs: index,
    clientKey: null,
    policy: 'judge',
    model: 'small',
    identity: { model: 'small', engine: 'llama.cpp', engineVersion: `${index % 3}` },
    calibration: base.hash,
    isPrior: true,
    featuresVersion,
    features,
    heads: { text_score: score ?? 0 },
    score,
    threshold,
    verdict: (score ?? 0) >= threshold ? 'commit' : 'escalate',
    reason: 'confident',
    localMs: 100,
    label:
      isRight === undefined
        ? undefined
        : { source: 'agreement', label: Number(isRight), weight: 1, propensity: 1, because: undefined },
  };
}

/** Answers that are right much less often than the shipped calibration says. */
function overrated(count: number): readonly JudgedAnswerRow[] {
  const random = seededRandom(4);
  return Array.from({ length: count }, (_, index) => {
    const nats = random() * 2;
    const { score } = textRow(index, nats, true);
    return textRow(index, nats, random() < logistic(logit(score ?? 0.5) - 1.5));
  });
}

test('under thirty labels the calibration stands, whatever they say', () => {
  const [result] = calibrate(overrated(29), base);
  assert.deepEqual([result?.outcome, result?.labels, result?.heads], ['kept', 29, undefined]);
});

test('labels move probabilities that say too much, and the order stays', () => {
  const [result, ...others] = calibrate(overrated(200), base);
  assert.deepEqual(others, [], 'versions of an engine are one model');
  assert.ok(result?.outcome === 'moved' && result.brierBefore !== null && result.brierAfter !== null);
  assert.ok(result.brierAfter < result.brierBefore, `${result.brierAfter} of ${result.brierBefore}`);
  assert.ok(result.sharpening !== undefined && result.sharpening.shift < 0 && result.sharpening.scale > 0);
});

test('many labels fit the heads anew where that is better out of fold', () => {
  const random = seededRandom(9);
  // Right where the first tokens surprise: the reverse of what the shipped head has learned.
  const rows = Array.from({ length: 500 }, (_, index) => {
    const nats = random() * 2;
    return textRow(index, nats, random() < logistic((nats - 1) * 4));
  });
  const [result] = calibrate(rows, base);
  assert.equal(result?.outcome, 'refitted');
  assert.ok((result.brierAfter ?? 1) < 0.2 && (result.brierBefore ?? 0) > 0.2);
  const low = recordedAnswer({ opening_nats: 0.1 }, { text_score: 0.5 });
  const high = recordedAnswer({ opening_nats: 1.9 }, { text_score: 0.5 });
  assert.ok(result.heads !== undefined && low !== undefined && high !== undefined);
  assert.ok((scoreRecorded(result.heads, low) ?? 1) < (scoreRecorded(result.heads, high) ?? 0));
});

test('a calibration and its sharpening survive their file', () => {
  const value = parseJson(readFileSync(file, 'utf8'));
  const written = { ...Object(value), sharpening: { scale: 0.8, shift: -0.4 } };
  assert.deepEqual(readCalibration(JSON.parse(JSON.stringify(written))).sharpening, { scale: 0.8, shift: -0.4 });
  const turned = { ...Object(value), sharpening: { scale: 0, shift: 0 } };
  assert.throws(() => readCalibration(JSON.parse(JSON.stringify(turned))), /sharpening\.scale must be above 0/);
});

test('a replay tells what moves, what it costs and how right it was', () => {
  const rows = [0.05, 0.2, 0.4, 0.8, 1.4].map((nats, index) => textRow(index, nats, index < 2));
  const scores = rows.map(({ score }) => score ?? 0);
  const [lowest = 0] = scores.toSorted((a, b) => a - b);
  const found = replay(rows, lowest, { cloudAnswerUsd: 0.01, cloudAnswerMs: 500 });
  assert.equal(found.instead.kept, 5);
  assert.equal(found.instead.keptRight, 2 / 5);
  assert.equal(found.usd, -found.now.escalated * 0.01);
  assert.equal(found.latencyMs, (-found.now.escalated * 500) / 5);
  assert.equal(thresholdForGoal(rows, { name: 'cloud_share', target: 0 }, Math.random), 0);
  assert.equal(thresholdForGoal([], { name: 'quality', target: 0.9 }, Math.random), undefined);
});
