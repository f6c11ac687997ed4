import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import type { Cancellation } from '../core/abort.ts';
import type { Mode } from '../core/request.ts';
import { beginAttempt, beginTrace, type RequestTrace } from '../core/trace.ts';
import { SpanExporter, type SpanExporterOptions } from './span-exporter.ts';
import { spansOf } from './spans.ts';

const id = '01890a5d-ac96-774b-bcce-b302099a8057';

function ended(mode: Mode = 'auto'): RequestTrace {
  const request = { id, model: 'secret-model', stream: false, hints: { mode } } as const;
  const trace = beginTrace(request, { startMs: 1_000, startedAtMs: 1_700_000_000_000 }, 0.7);
  const attempt = beginAttempt(trace, 'local', 1_002);
  Object.assign(attempt, { backend: 'near', model: 'small', endMs: 1_010.5, outcome: 'failed' });
  attempt.error = { code: 'upstream_cut', status: 502, source: 'upstream' };
  trace.endMs = 1_020.25;
  return trace;
}

function exporter(changes: Partial<SpanExporterOptions> = {}) {
  const clock = new FakeClock();
  const bodies: string[] = [];
  const send = async (body: string): Promise<void> => void bodies.push(body);
  const options = { send, clock, serviceName: 'lfo', version: '1', withoutLocalMode: false, ...changes };
  return { clock, bodies, exporter: new SpanExporter(options) };
}

test('spans carry explicit times, the id of their request and the error of their attempt', () => {
  const [request, attempt] = spansOf(ended(), 502);
  assert.ok(request !== undefined && attempt !== undefined);
  assert.equal(request.traceId, id.replaceAll('-', ''));
  assert.match(request.spanId, /^[0-9a-f]{16}$/);
  assert.notEqual(request.spanId, attempt.spanId);
  assert.equal(attempt.parentSpanId, request.spanId);
  assert.deepEqual(
    [request.startTimeUnixNano, request.endTimeUnixNano, attempt.startTimeUnixNano, attempt.endTimeUnixNano],
    ['1700000000000000000', '1700000000020250000', '1700000000002000000', '1700000000010500000'],
  );
  assert.deepEqual([request.status.code, attempt.status.code], [2, 2]);
  assert.ok(attempt.attributes.some(({ key, value }) => key === 'error.type' && 'stringValue' in value));
  assert.doesNotMatch(JSON.stringify([request, attempt]), /secret-model/);
});

test('spans wait a second for company and leave in one body', async () => {
  const { clock, bodies, exporter: spans } = exporter();
  spans.add(ended(), 200);
  spans.add(ended(), 200);
  await clock.advanceAsync(999);
  assert.equal(bodies.length, 0);
  await clock.advanceAsync(1);
  assert.equal(bodies.length, 1);
  assert.deepEqual(spans.status(), { sent: 4, dropped: 0 });
  assert.equal(clock.pendingTimers, 0);
});

test('a collector beyond the own network gets no requests in local mode', async () => {
  const { bodies, exporter: spans } = exporter({ withoutLocalMode: true });
  spans.add(ended('local'), 200);
  await spans.flush();
  assert.equal(bodies.length, 0);
  spans.add(ended('auto'), 200);
  await spans.flush();
  assert.equal(bodies.length, 1);
});

test('what a collector refuses or does not take in time is dropped and counted, and memory stays bounded', async () => {
  const hanging = (_body: string, signal: Cancellation): Promise<void> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('late'))));
  const { clock, exporter: spans } = exporter({ send: hanging });
  for (let request = 0; request < 3_000; request += 1) spans.add(ended(), 200);
  assert.equal(spans.status().dropped, 2 * (3_000 - 2_048));
  const flushed = spans.flush();
  for (let batch = 0; batch < 8; batch += 1) {
    await settle();
    clock.advance(10_000);
  }
  await flushed;
  assert.deepEqual(spans.status(), { sent: 0, dropped: 6_000 });
});
