import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { latestOf, type RequestFilter, type trendRanges } from '@lfo/router/src/records/history.ts';
import { StoredHistory } from '@lfo/router/src/records/queries/stored-history.ts';
import { recordedUse } from '@lfo/router/src/records/queries/steering-data.ts';
import { summary } from '@lfo/router/src/records/queries/summary.ts';
import { walkRows } from '@lfo/router/src/records/queries/walk.ts';
import { quantile } from '../figures.ts';
import type { FilledDatabase } from './databases.ts';

/** How long one question took, the way to the worker or server included. */
export interface Measured {
  readonly question: string;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Longest time the event loop was held in one run; the median of the runs. */
  readonly turnMs: number;
}

interface Question {
  readonly name: string;
  readonly ask: () => Promise<unknown>;
}

const dayMs = 86_400_000;

/** Everything the dashboard and the command line ask, with filters that match many rows, few and none. */
export async function questionsTo({ store, startMs, endMs }: FilledDatabase): Promise<readonly Question[]> {
  const history = new StoredHistory(store, { nowMs: () => 0, wallMs: () => endMs, schedule: () => () => {} });
  const middle = await store.db
    .selectFrom('requests')
    .select('id')
    .where('time_ms', '>=', (startMs + endMs) / 2)
    .orderBy('time_ms')
    .limit(1)
    .executeTakeFirstOrThrow();
  const filters: readonly (readonly [string, RequestFilter])[] = [
    ['newest', {}],
    ['from the middle', { before: middle.id }],
    ['failed', { outcome: 'failed' }],
    ['degraded', { outcome: 'degraded' }],
    ['answered', { outcome: 'ok' }],
    ['by route', { route: 'cloud' }],
    ['by a rare backend', { backend: 'openrouter' }],
    ['by an unknown backend', { backend: 'none-of-these' }],
    ['by a common reason', { reason: 'low_confidence' }],
    ['by a reason that never was', { reason: 'context_too_small' }],
    ['by two that exclude each other', { route: 'cloud', backend: 'embedded' }],
    ['by two that seldom meet', { route: 'local', reason: 'prompt_too_long' }],
    ['failed, by a backend that was not reached', { outcome: 'failed', backend: 'gemini' }],
    ['by all filters', { outcome: 'ok', route: 'cloud', backend: 'openrouter', reason: 'low_confidence' }],
  ];
  const ranges = ['1h', '6h', '24h', '7d', '30d'] as const satisfies readonly (keyof typeof trendRanges)[];
  const exported = async (filter: Parameters<typeof walkRows>[1], limit: number): Promise<void> => {
    for await (const row of walkRows(store, filter, limit)) if (row.id === '') return;
  };
  return [
    ...ranges.map((range) => ({ name: `trends, ${range}`, ask: () => history.trends(latestOf(range, endMs)) })),
    ...(['1h', '30d'] as const).map((range) => ({
      name: `confidence, ${range}`,
      ask: () => history.confidence(range),
    })),
    ...(['1h', '30d'] as const).map((range) => ({ name: `learning, ${range}`, ask: () => history.learning(range) })),
    {
      name: 'usage by key, 30 d',
      ask: () => history.usage({ fromMs: endMs - 30 * dayMs, untilMs: endMs + 1 }, 'client_key'),
    },
    { name: 'errors, 30 d', ask: () => history.errors({ fromMs: endMs - 30 * dayMs, untilMs: endMs + 1 }) },
    { name: 'what goals are steered by', ask: () => recordedUse(store, endMs) },
    ...filters.map(([name, filter]) => ({ name: `requests, ${name}`, ask: () => history.page(filter, 50) })),
    { name: 'requests, 200 newest', ask: () => history.page({}, 200) },
    { name: 'one request', ask: () => history.find(middle.id) },
    ...[1, 7, 365].map((days) => ({
      name: `lfo stats, ${days} d`,
      ask: () => summary(store, { fromMs: endMs - days * dayMs }),
    })),
    { name: 'lfo requests, 1,000 newest', ask: () => exported({}, 1_000) },
    { name: 'lfo requests, by status', ask: () => exported({ status: 502, sinceMs: endMs - dayMs }, 100) },
    { name: 'lfo requests, by two', ask: () => exported({ route: 'local', backend: 'gemini' }, 100) },
  ];
}

/** Asks a number of times in a row, once before to warm up. */
export async function measure({ name, ask }: Question, runs: number): Promise<Measured> {
  await ask();
  const times: number[] = [];
  const turns: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let run = 0; run < runs; run += 1) {
    delay.reset();
    delay.enable();
    const from = performance.now();
    await ask();
    times.push(performance.now() - from);
    // A turn is counted when the next one begins.
    await sleep(2);
    delay.disable();
    turns.push(Math.max(0, delay.max / 1e6 - 1));
  }
  return { question: name, p50Ms: quantile(times, 0.5), p95Ms: quantile(times, 0.95), turnMs: quantile(turns, 0.5) };
}
