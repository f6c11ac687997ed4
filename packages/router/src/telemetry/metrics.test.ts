import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parseMetrics, valueOf } from '@lfo/testing/prometheus-text.ts';
import type { BackendView } from '../core/backend.ts';
import { beginAttempt, beginTrace } from '../core/trace.ts';
import { type Gauged, Metrics } from './metrics.ts';

const backend: BackendView = {
  id: 'near "quoted"\\',
  tier: 'local',
  models: ['small'],
  capabilities: { tools: false, jsonSchema: false, images: false, audio: false, logprobs: true },
  status: { state: 'ready', decodeRate: 12.5 },
  breaker: 'half-open',
  inFlight: 2,
};

const quiet: Gauged = {
  devices: { devices: [], refused: new Map(), pairings: new Map(), wakes: new Map() },
  fleet: { backends: [] },
  inFlight: 3,
  waiting: 1,
  loopDelayMs: 20,
  loopUtilization: 0.25,
  records: { pending: 4, written: 5, dropped: 6, degraded: true },
  sentinels: 0,
  captures: { dropped: 9 },
  spans: { sent: 7, dropped: 8 },
  expiring: [],
};

function metricsOver(look: () => Gauged = () => quiet): Metrics {
  return new Metrics({ version: '1.2.3', node: 'v24', router: 'desk' }, look);
}

function operationsFile(name: string): string {
  return readFileSync(new URL(`../../../../docs/operations/${name}`, import.meta.url), 'utf8');
}

test('an attempt that failed and the retry that answered are told apart', async () => {
  const metrics = metricsOver();
  const request = { id: 'a', model: 'm', stream: true, hints: { mode: 'auto' } } as const;
  const trace = beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7);
  Object.assign(trace, { route: 'cloud', backend: 'far', reason: 'local_failed', endMs: 2_000, costUsd: 0.25 });
  trace.usage = { promptTokens: 10, completionTokens: 11, estimated: true };
  const failed = beginAttempt(trace, 'cloud', 0);
  Object.assign(failed, { outcome: 'failed', error: { code: 'upstream_cut', status: 502, source: 'upstream' } });
  const answered = beginAttempt(trace, 'cloud', 100);
  Object.assign(answered, { backend: 'far', outcome: 'answered', leasedMs: 100, firstEventMs: 600, endMs: 1_600 });
  answered.usage = trace.usage;
  metrics.observe(trace, 200);
  const read = parseMetrics(metrics.text());
  assert.equal(valueOf(read, 'lfo_retries_total', { tier: 'cloud' }), 1);
  const labels = { tier: 'cloud', backend: 'none', outcome: 'failed', code: 'upstream_cut' };
  assert.equal(valueOf(read, 'lfo_attempts_total', labels), 1);
  assert.equal(valueOf(read, 'lfo_cost_dollars_total', { backend: 'far' }), 0.25);
  const far = { tier: 'cloud', backend: 'far' };
  assert.equal(valueOf(read, 'lfo_time_to_first_token_seconds_sum', far), 0.5);
  assert.equal(valueOf(read, 'lfo_time_per_output_token_seconds_sum', far), 0.1);
  assert.equal(valueOf(read, 'lfo_request_duration_seconds_sum', { route: 'cloud' }), 2);
});

test('the fleet is shown as it is when somebody asks; a backend that is gone is not shown', async () => {
  let backends: readonly BackendView[] = [backend];
  const metrics = metricsOver(() => ({ ...quiet, fleet: { backends } }));
  const read = parseMetrics(metrics.text());
  const up = read.samples.filter(({ name }) => name === 'lfo_backend_up');
  assert.deepEqual(
    up.map(({ value, labels }) => [value, labels['tier']]),
    [[1, 'local']],
  );
  const breaker = read.samples.filter(({ name, value }) => name === 'lfo_backend_breaker_state' && value === 1);
  assert.deepEqual(
    breaker.map(({ labels }) => labels['state']),
    ['half-open'],
  );
  assert.equal(valueOf(read, 'lfo_event_loop_lag_seconds', {}), 0.02);
  assert.equal(valueOf(read, 'lfo_event_loop_utilization', {}), 0.25);
  assert.equal(valueOf(read, 'lfo_records_dropped_total', {}), 6);
  assert.equal(valueOf(read, 'lfo_captures_dropped_total', {}), 9);
  assert.equal(valueOf(read, 'lfo_build_info', { version: '1.2.3', node: 'v24', router: 'desk' }), 1);
  backends = [];
  const later = parseMetrics(metrics.text());
  assert.equal(later.samples.filter(({ name }) => name.startsWith('lfo_backend_')).length, 0);
  assert.equal(valueOf(later, 'lfo_records_dropped_total', {}), 6);
});

test('keys of one name are one series, by the first to expire: a series twice would spoil the whole page', () => {
  const expiring = [
    { name: 'ci', expiresMs: 5_000 },
    { name: 'ci', expiresMs: 2_000 },
    { name: 'laptop', expiresMs: 9_000 },
  ];
  const { samples } = parseMetrics(metricsOver(() => ({ ...quiet, expiring })).text());
  const found = samples.filter(({ name }) => name === 'lfo_key_expires_timestamp_seconds');
  assert.deepEqual(
    found.map(({ labels, value }) => [labels['key'], value]),
    [
      ['ci', 2],
      ['laptop', 9],
    ],
  );
});

test('the table of metrics in the documentation is what is really there', async () => {
  const { types } = parseMetrics(metricsOver().text());
  const rows = operationsFile('metrics.md').matchAll(/^\| `(lfo_\w+)` \| +(\w+)/gm);
  const documented = new Map([...rows].map(([, name = '', type = '']) => [name, type]));
  assert.deepEqual(Object.fromEntries(documented), Object.fromEntries(types));
});
