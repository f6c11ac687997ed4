import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { GoalRow } from '../confidence/goals.ts';
import type { Goals } from '../core/goals.ts';
import { beginAttempt, beginTrace } from '../core/trace.ts';
import { neededLabels, Steering, type SteeringData } from './steering.ts';

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const evenly = Array.from({ length: 400 }, (_, index) => index / 400);

/** Right as often as the score says. */
function labelled(count: number): readonly GoalRow[] {
  const random = generator(3);
  return Array.from({ length: count }, () => {
    const score = random();
    return { score, localRight: random() < score ? 1 : 0, cloudRight: 1, weight: 1 };
  });
}

async function steeringOn(goal: Goals, data: Partial<SteeringData> = {}) {
  const clock = new FakeClock(0, 1_700_000_000_000);
  const random = generator(1);
  let inForce = goal;
  const steering = new Steering({
    clock,
    random,
    routing: () => ({ maxLocalTokens: 1500, firstTokenBudgetMs: 10_000, confidenceThreshold: 0.7, goal: inForce }),
    thresholdOrigin: () => 'default',
    calibrationScores: evenly,
    read: async () => ({
      scores: evenly,
      rows: [],
      spentTodayUsd: 0,
      cloudAnswerUsd: undefined,
      requests: 0,
      observedMs: 0,
      ...data,
    }),
    onError: (error) => assert.fail(String(error)),
  });
  await steering.refresh();
  /** One request in `auto` whose local answer scores so; answers whether it went to the cloud. */
  const ask = (score: number, usd = 0): boolean => {
    const request = chatRequest();
    const trace = beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7);
    const follower = steering.begin(request, trace);
    trace.features = { cloud_ready: 1 };
    const limits = steering.limits();
    const isCloud = limits.spend !== 'spent' && score < limits.confidenceThreshold;
    trace.route = isCloud ? 'cloud' : 'local';
    beginAttempt(trace, trace.route, 0).leasedMs = 0;
    if (isCloud) trace.costUsd = usd;
    follower.ended({ status: 200 });
    return isCloud;
  };
  return { clock, steering, random, ask, want: (goals: Goals) => (inForce = goals) };
}

test('without a goal the configured number holds and says where it is from', async () => {
  const { steering } = await steeringOn({});
  assert.equal(steering.limits().confidenceThreshold, 0.7);
  assert.deepEqual(steering.view(), { threshold: 0.7, from: 'default', binding: null, goals: [] });
});

test('a share of the cloud is kept, though scores drift away from those on record', async () => {
  const { steering, random, ask } = await steeringOn({ cloudShare: 0.2 });
  assert.ok(Math.abs(steering.limits().confidenceThreshold - 0.2) < 0.01);
  let cloud = 0;
  for (let request = 0; request < 2_000; request += 1) cloud += Number(ask(random() ** 2));
  assert.ok(Math.abs(cloud / 2_000 - 0.2) < 0.02, String(cloud / 2_000));
  const [view] = steering.view().goals;
  assert.equal(view?.state, 'binds');
  assert.ok(Math.abs((view?.estimate ?? 0) - 0.2) < 0.05);
});

test('quality with too few labels says so and leaves the threshold alone', async () => {
  const { steering } = await steeringOn({ quality: 0.9 }, { rows: labelled(neededLabels - 1) });
  const { threshold, from, goals } = steering.view();
  assert.deepEqual([threshold, from], [0.7, 'default']);
  assert.deepEqual([goals[0]?.state, goals[0]?.labels, goals[0]?.needs], ['too_few_labels', 49, 50]);
});

test('of what is demanded the strictest binds, within what is allowed', async () => {
  const rows = labelled(600);
  const demands = (await steeringOn({ quality: 0.8, risk: 0.05 }, { rows })).steering.view();
  assert.equal(demands.binding, 'risk');
  const [quality, risk] = demands.goals;
  assert.ok((quality?.threshold ?? 1) < (risk?.threshold ?? 0));
  assert.equal(demands.threshold, risk?.threshold);
  assert.equal(quality?.state, 'held');
  const both = (await steeringOn({ quality: 0.99, cloudShare: 0.1 }, { rows })).steering.view();
  assert.equal(both.binding, 'cloud_share');
  assert.equal(both.goals.find(({ goal }) => goal === 'quality')?.state, 'unreachable');
  const easy = (await steeringOn({ quality: 0.6, cloudShare: 0.9 }, { rows })).steering.view();
  assert.equal(easy.binding, 'quality');
});

test('money is paced over the day, local is preferred beyond the soft limit, and the hard one closes the cloud', async () => {
  const use = { cloudAnswerUsd: 0.01, requests: 1_000, observedMs: 86_400_000, spentTodayUsd: 0.5 };
  const { steering, ask, want } = await steeringOn({ spendPerDay: 0.6 }, use);
  const { threshold, binding } = steering.view();
  assert.equal(binding, 'spend_per_day');
  assert.ok(threshold > 0 && threshold < 0.2, String(threshold));
  while (!ask(0, 0.2));
  assert.deepEqual([steering.limits().spend, steering.limits().confidenceThreshold], ['over', 0]);
  want({ spendPerDay: 0.6, spendHardLimit: 0.65 });
  assert.equal(steering.limits().spend, 'spent');
  assert.equal(steering.view().binding, 'spend_hard_limit');
});

test('a new day has its own money, though the records cannot be read since', async () => {
  const { steering, clock, ask } = await steeringOn({ spendPerDay: 3 }, { spentTodayUsd: 2 });
  ask(0, 2);
  assert.equal(steering.limits().spend, 'over');
  clock.advance(86_400_000);
  assert.equal(steering.limits().spend, undefined);
  assert.equal(steering.view().goals[0]?.estimate, 0);
});

test('money that is not on record is counted all the same: of requests without records, and beside requests', async () => {
  const { steering, clock, ask } = await steeringOn({ spendHardLimit: 1 });
  ask(0, 0.6);
  // Nothing is kept of requests (`records.enabled: false`), or the database has lost them.
  await steering.refresh();
  assert.equal(steering.limits().spend, undefined);
  steering.addSpent(0.5);
  await steering.refresh();
  assert.equal(steering.limits().spend, 'spent');
  clock.advance(86_400_000);
  assert.equal(steering.limits().spend, undefined);
});

test('a goal of a rule has the threshold that the same goal for all would have, and none with too few labels', async () => {
  const rows = labelled(600);
  const { steering } = await steeringOn({ quality: 0.8 }, { rows });
  assert.equal(steering.thresholdFor({ quality: 0.8 }), steering.view().threshold);
  assert.ok((steering.thresholdFor({ quality: 0.99 }) ?? 0) > steering.view().threshold);
  const { steering: young } = await steeringOn({}, { rows: labelled(neededLabels - 1) });
  assert.equal(young.thresholdFor({ quality: 0.8 }), undefined);
});
