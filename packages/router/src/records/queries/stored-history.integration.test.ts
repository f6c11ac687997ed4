import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { RequestRow } from '../tables.ts';
import { SqliteStore } from '../store/sqlite-store.ts';
import { sampleRow } from '../store/store-contract.ts';
import { latestOf } from '../history.ts';
import { StoredHistory } from './stored-history.ts';
import { walkRows } from './walk.ts';

const nowMs = 1_700_000_000_000;

async function historyOf(t: TestContext, rows: readonly RequestRow[]) {
  return new StoredHistory(await storeOf(t, rows), new FakeClock(0, nowMs));
}

async function storeOf(t: TestContext, rows: readonly RequestRow[]): Promise<SqliteStore> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-history-'));
  const store = new SqliteStore(join(folder, 'lfo.db'));
  t.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  await store.append('requests', rows);
  return store;
}

interface Local {
  readonly score?: number | null;
  readonly outcome?: 'answered' | 'escalated';
  readonly reason?: string;
}

/** A row whose only local attempt was judged as given. */
function judgedRow(id: string, { score = null, outcome = 'answered', reason = 'confident' }: Local, changes = {}) {
  const attempts = JSON.stringify([{ tier: 'local', backend: 'embedded', start_ms: 1, outcome, reason, score }]);
  return sampleRow(id, {
    attempts,
    time_ms: nowMs - 1000,
    route: outcome === 'answered' ? 'local' : 'cloud',
    ...changes,
  });
}

test('pages walk from the newest to the oldest without losing or repeating a row', async (t) => {
  const rows = Array.from({ length: 7 }, (_, index) => sampleRow(`id-${index}`));
  const history = await historyOf(t, rows);
  const seen: string[] = [];
  let before: string | undefined;
  do {
    const page = await history.page(before === undefined ? {} : { before }, 3);
    seen.push(...page.requests.map(({ id }) => id));
    before = page.next ?? undefined;
  } while (before !== undefined);
  assert.deepEqual(seen, ['id-6', 'id-5', 'id-4', 'id-3', 'id-2', 'id-1', 'id-0']);
});

test('filters narrow a page, each by its own column', async (t) => {
  const history = await historyOf(t, [
    sampleRow('a', { route: 'cloud', backend: 'gemini' }),
    sampleRow('b', { error_code: 'upstream_timeout', finish_reason: null }),
    sampleRow('c', { degraded: 1, reason: 'degraded' }),
  ]);
  const idsOf = async (filter: Parameters<typeof history.page>[0]) =>
    (await history.page(filter, 10)).requests.map(({ id }) => id).join('');
  assert.equal(await idsOf({ route: 'cloud' }), 'a');
  assert.equal(await idsOf({ backend: 'gemini' }), 'a');
  assert.equal(await idsOf({ outcome: 'failed' }), 'b');
  assert.equal(await idsOf({ outcome: 'ok' }), 'ca');
  assert.equal(await idsOf({ outcome: 'degraded' }), 'c');
  assert.equal(await idsOf({ reason: 'degraded' }), 'c');
});

test('a request comes back with its attempts, and columns that cannot be read are empty', async (t) => {
  const history = await historyOf(t, [
    judgedRow('a', { score: 0.4 }),
    sampleRow('b', { attempts: '{"no', reasons: '["made_up","confident"]', reason: 'made_up' }),
  ]);
  const [attempt] = (await history.find('a'))?.view.attempts ?? [];
  assert.deepEqual([attempt?.tier, attempt?.backend, attempt?.score, attempt?.endMs], ['local', 'embedded', 0.4, null]);
  const odd = (await history.find('b'))?.view;
  assert.deepEqual([odd?.attempts, odd?.reasons, odd?.reason], [[], ['confident'], null]);
  assert.equal(await history.find('c'), undefined);
});

test('the latest verdict on a request is the one that counts', async (t) => {
  const history = await historyOf(t, [sampleRow('a')]);
  await history.addFeedback({ requestId: 'a', clientKey: 'key-1', verdict: 'good' });
  await history.addFeedback({ requestId: 'a', clientKey: 'key-1', verdict: 'bad', expectedRoute: 'cloud' });
  assert.deepEqual((await history.find('a'))?.feedback, { timeMs: nowMs, verdict: 'bad', expectedRoute: 'cloud' });
});

test('trends count each request in the step of its arrival and leave out what is older', async (t) => {
  const minute = 60_000;
  const history = await historyOf(t, [
    sampleRow('a', { time_ms: nowMs - 1 }),
    sampleRow('b', { time_ms: nowMs - 10 * minute, route: 'cloud', local_ms: 5, cost_usd: 0.5, prompt_tokens: 100 }),
    sampleRow('c', { time_ms: nowMs - 10 * minute, route: null, finish_reason: null, status: 502, cost_usd: null }),
    sampleRow('d', { time_ms: nowMs - 10 * minute, route: null, finish_reason: null, status: 499, cost_usd: null }),
    sampleRow('e', { time_ms: nowMs - 61 * minute }),
  ]);
  const trends = await history.trends(latestOf('1h', nowMs));
  const stepAt = (timeMs: number) => trends.timesMs.findLastIndex((startMs) => startMs <= timeMs);
  const earlier = stepAt(nowMs - 10 * minute);
  assert.equal(trends.timesMs.length, 60);
  assert.equal(trends.local[stepAt(nowMs - 1)], 1);
  assert.equal(
    trends.local.reduce((sum, count) => sum + count),
    1,
  );
  assert.deepEqual(
    [trends.cloud[earlier], trends.escalated[earlier], trends.failed[earlier], trends.costUsd[earlier]],
    [1, 1, 1, 0.5],
  );
});

test('percentiles are within 5 % of the exact ones, and absent where nothing was measured', async (t) => {
  const rows = Array.from({ length: 101 }, (_, index) =>
    sampleRow(`id-${String(index).padStart(3, '0')}`, {
      time_ms: nowMs - 1,
      total_ms: 100 + index * 10,
      first_token_ms: 7,
    }),
  );
  const { latency, firstToken, timesMs } = await (await historyOf(t, rows)).trends(latestOf('24h', nowMs));
  const near = (value: number | null | undefined, exact: number) =>
    assert.ok(Math.abs((value ?? 0) - exact) <= exact * 0.055, `${value} is not near ${exact}`);
  near(latency.local.all.p50, 600);
  near(latency.local.p95[timesMs.length - 1], 1050);
  near(firstToken.local.all.p50, 7);
  assert.deepEqual([latency.cloud.all.p50, latency.local.p50[0]], [null, null]);
});

test('the confidence report tells what became of scored answers, and replays thresholds on them', async (t) => {
  const history = await historyOf(t, [
    judgedRow('a', { score: 0.91 }),
    judgedRow('b', { score: 0.52, outcome: 'escalated', reason: 'low_confidence' }),
    judgedRow('c', { score: 0.99, outcome: 'escalated', reason: 'schema_violation' }),
    judgedRow('d', { score: 0.3 }, { degraded: 1 }),
    judgedRow('e', {}),
    sampleRow('f', { attempts: '[]', time_ms: nowMs - 1, route: 'cloud', cost_usd: 0.02 }),
  ]);
  const report = await history.confidence('1h');
  assert.equal(report.sampled, 6);
  assert.equal(report.withoutScore, 1);
  assert.deepEqual(
    [
      report.histogram.kept[18],
      report.histogram.escalated[10],
      report.histogram.refused[19],
      report.histogram.degraded[6],
    ],
    [1, 1, 1, 1],
  );
  const at = (threshold: number) => report.replay.find((point) => Math.abs(point.threshold - threshold) < 1e-9);
  assert.deepEqual([at(0.5)?.kept, at(0.5)?.escalated], [2, 1]);
  assert.deepEqual([at(0.95)?.kept, at(0.95)?.escalated], [0, 3]);
});

test('at the present threshold the replay is the histogram; answers that had to stay local are in neither', async (t) => {
  const history = await historyOf(t, [
    judgedRow('a', { score: 0.91 }, { threshold: 0.72 }),
    judgedRow('b', { score: 0.71, outcome: 'escalated', reason: 'low_confidence' }, { threshold: 0.72 }),
    judgedRow('c', { score: 0.3 }, { threshold: 0.72, degraded: 1 }),
    judgedRow('d', { score: 0.2 }, { threshold: 0.72, mode: 'local' }),
    judgedRow('e', { score: 0.9 }, { threshold: 0.72, mode: 'local' }),
  ]);
  const { histogram, replay, threshold } = await history.confidence('1h');
  const total = (bins: readonly number[]) => bins.reduce((sum, count) => sum + count);
  const now = replay.find((point) => point.threshold === threshold);
  assert.deepEqual([total(histogram.kept), total(histogram.escalated), total(histogram.degraded)], [1, 1, 1]);
  assert.deepEqual([now?.kept, now?.escalated], [1, 2]);
});

test('reliability needs verdicts: of answers given, and of wished-for routes where none was given', async (t) => {
  const history = await historyOf(t, [
    judgedRow('a', { score: 0.95 }),
    judgedRow('b', { score: 0.91 }),
    judgedRow('c', { score: 0.55, outcome: 'escalated', reason: 'low_confidence' }),
  ]);
  const said = { clientKey: 'k' };
  assert.deepEqual((await history.confidence('1h')).reliability, []);
  await history.addFeedback({ ...said, requestId: 'a', verdict: 'good' });
  await history.addFeedback({ ...said, requestId: 'b', verdict: 'bad' });
  await history.addFeedback({ ...said, requestId: 'c', verdict: 'good', expectedRoute: 'local' });
  const { reliability, labelled, replay } = await history.confidence('1h');
  assert.equal(labelled, 3);
  assert.deepEqual(
    reliability.map(({ good, count }) => [good, count]),
    [
      [1, 1],
      [0.5, 2],
    ],
  );
  assert.deepEqual([replay[0]?.keptGood, replay[0]?.keptBad], [2, 1]);
});

test('filters that no index holds together look at a bounded number of rows, and the next page goes on', async (t) => {
  const idOf = (index: number) => `id-${String(index).padStart(6, '0')}`;
  const rows = Array.from({ length: 10_050 }, (_, index) =>
    sampleRow(idOf(index), { route: index === 3 ? 'cloud' : 'local', attempts: '[]' }),
  );
  const history = await historyOf(t, rows);
  const sparse = { reason: 'confident', route: 'cloud' } as const;
  assert.deepEqual(await history.page(sparse, 10), { requests: [], next: idOf(50) });
  const rest = await history.page({ ...sparse, before: idOf(50) }, 10);
  assert.deepEqual([rest.requests.map(({ id }) => id), rest.next], [[idOf(3)], null]);
  const dense = await history.page({ reason: 'confident', route: 'local', before: idOf(10_049) }, 3);
  assert.deepEqual([dense.requests.length, dense.next], [3, idOf(10_046)]);
});

test('an export by filters that seldom meet goes on beyond the bound of one step', async (t) => {
  const idOf = (index: number) => `id-${String(index).padStart(6, '0')}`;
  const rows = Array.from({ length: 10_050 }, (_, index) =>
    sampleRow(idOf(index), { route: index === 3 ? 'cloud' : 'local', status: index === 5 ? 418 : 200 }),
  );
  const store = await storeOf(t, rows);
  const idsOf = async (filter: Parameters<typeof walkRows>[1]) =>
    (await Array.fromAsync(walkRows(store, filter, 100))).map(({ id }) => id);
  assert.deepEqual(await idsOf({ reason: 'confident', route: 'cloud' }), [idOf(3)]);
  assert.deepEqual(await idsOf({ status: 418 }), [idOf(5)]);
});

test('the confidence report takes in every row of its sample, whatever the size of a step', async (t) => {
  const rows = Array.from({ length: 1_203 }, (_, index) => judgedRow(`id-${index}`, { score: (index % 10) / 10 }));
  const report = await (await historyOf(t, rows)).confidence('1h');
  assert.equal(report.sampled, 1_203);
  assert.equal(
    report.histogram.kept.reduce((sum, count) => sum + count),
    1_203,
  );
});

test('the steps of any span cover both of its ends, however they lie', async (t) => {
  const hourMs = 3_600_000;
  const day = Math.floor(nowMs / 86_400_000) * 86_400_000 - 9 * 86_400_000;
  // Eight hours are one step that long ago: 7 o'clock is in the one before that of 9 o'clock.
  const rows = [7, 9].map((hour) => sampleRow(`id-${hour}`, { time_ms: day + hour * hourMs }));
  const history = await historyOf(t, rows);
  const { local, timesMs, stepMs } = await history.trends({ fromMs: day + 6 * hourMs, untilMs: day + 10 * hourMs });
  assert.deepEqual([local, timesMs, stepMs], [[1, 1], [day, day + 8 * hourMs], 8 * hourMs]);
});

test('no step is shorter than the buckets of its age', async (t) => {
  const minuteMs = 60_000;
  const history = await historyOf(t, []);
  const stepOf = async (minutes: number) =>
    (await history.trends({ fromMs: nowMs - minutes * minuteMs, untilMs: nowMs })).stepMs / minuteMs;
  // Minutes are merged into five after an hour and five minutes.
  assert.deepEqual([await stepOf(65), await stepOf(70)], [1, 5]);
});

test('a span tells of the rows that were lost in it, not of those that were lost since', async (t) => {
  const store = await storeOf(t, []);
  const history = new StoredHistory(store, new FakeClock(0, nowMs));
  const hourMs = 3_600_000;
  const gap = (id: string, agoMs: number) => ({ id, from_ms: nowMs - agoMs, until_ms: nowMs - agoMs + 1, requests: 3 });
  await store.append('record_gaps', [gap('in', 5 * hourMs), gap('since', hourMs)]);
  const span = { fromMs: nowMs - 6 * hourMs, untilMs: nowMs - 3 * hourMs };
  for (const { gaps } of [await history.usage(span), await history.trends(span)])
    assert.deepEqual(
      gaps.map(({ fromMs }) => nowMs - fromMs),
      [5 * hourMs],
    );
});
