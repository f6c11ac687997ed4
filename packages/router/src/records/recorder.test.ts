import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { RequestTrace } from '../core/trace.ts';
import { judgementRows } from './judgements.ts';
import { requestRow, viewRow, viewTrace } from './request-record.ts';

function escalatedTrace(): RequestTrace {
  const clock = new FakeClock(1000, 1_700_000_000_000);
  return {
    id: '0190-a',
    startedAtMs: clock.wallMs(),
    bodyMs: 0,
    startMs: clock.nowMs(),
    router: undefined,
    caller: undefined,
    via: undefined,
    mode: 'auto',
    requestedModel: 'a prompt in the place of a model',
    stream: false,
    dialect: 'openai-chat',
    tools: 2,
    promptTokens: 40,
    promptTokensFrom: 'bound',
    threshold: 0.7,
    features: { tools: 2 },
    reason: 'low_confidence',
    reasons: ['low_confidence', 'local_first'],
    route: 'cloud',
    backend: 'gemini',
    model: 'gemini-2.5-flash',
    device: undefined,
    resumed: undefined,
    confidence: undefined,
    degraded: false,
    attempts: [
      {
        tier: 'local',
        backend: 'embedded',
        model: 'qwen',
        device: undefined,
        resumed: undefined,
        startMs: 1001,
        leasedMs: 1003,
        firstEventMs: 1010,
        endMs: 1050.0004,
        outcome: 'escalated',
        reason: 'low_confidence',
        score: 0.2,
        error: undefined,
        heldMs: 30,
        heldTokens: 4,
        judgement: {
          policy: 'judge',
          model: { model: 'qwen2.5-coder-0.5b', engine: 'llama.cpp' },
          evidence: {
            judge: 'answer-heads',
            calibration: 'abc',
            prior: true,
            features_version: 1,
            values: 0.3,
            said: 1,
          },
          score: 0.2,
          threshold: 0.7,
          verdict: 'escalate',
          reason: 'low_confidence',
        },
        usage: undefined,
        isHedge: false,
      },
      {
        tier: 'cloud',
        backend: 'gemini',
        model: 'gemini-2.5-flash',
        device: undefined,
        resumed: undefined,
        startMs: 1051,
        leasedMs: 1052,
        firstEventMs: 1100,
        endMs: 1200,
        outcome: 'answered',
        reason: undefined,
        score: undefined,
        error: undefined,
        heldMs: undefined,
        heldTokens: undefined,
        judgement: undefined,
        usage: undefined,
        isHedge: false,
      },
    ],
    warnings: new Map([['seed', 'not here']]),
    usage: { promptTokens: 30, completionTokens: 7, estimated: true },
    finishReason: 'stop',
    nativeFinishReason: 'STOP',
    committedMs: 1110,
    firstTokenMs: 1105,
    endMs: 1201,
    overheadMs: 1.23456,
    costUsd: 0.001,
  };
}

test('a row splits the latency by tier and counts from arrival', () => {
  const row = requestRow(escalatedTrace(), { status: 200, clientKey: 'key-1' });
  assert.equal(row.total_ms, 201);
  assert.equal(row.first_token_ms, 105);
  assert.equal(row.committed_ms, 110);
  assert.equal(row.queue_ms, 3);
  assert.equal(row.local_ms, 47);
  assert.equal(row.cloud_ms, 148);
  assert.equal(row.held_ms, 30);
  assert.equal(row.overhead_ms, 1.235);
  assert.equal(row.time_ms, 1_700_000_000_000);
  assert.equal(row.tokens_estimated, 1);
  assert.equal(row.features, '{"tools":2}');
  assert.equal(row.warnings, '["seed"]');
  assert.equal(JSON.parse(row.attempts)[1].start_ms, 51);
});

test('each judged attempt has a row of its own, with what the heads said apart from what they went by', () => {
  const [row, ...others] = judgementRows(escalatedTrace(), 'key-1');
  assert.deepEqual(others, []);
  assert.ok(row !== undefined);
  const { id, request_id: request, attempt, heads, features, calibration, is_prior: isPrior, score, verdict } = row;
  assert.deepEqual([id, attempt], [`${request}.0`, 0]);
  assert.deepEqual([heads, features, calibration, isPrior], ['{"values":0.3}', '{"said":1}', 'abc', 1]);
  assert.deepEqual([score, verdict, row.policy, row.client_key, row.local_ms], [0.2, 'escalate', 'judge', 'key-1', 47]);
});

test('what the client wrote in the place of a model is not kept', () => {
  assert.doesNotMatch(JSON.stringify(requestRow(escalatedTrace(), { status: 200 })), /a prompt in the place/);
});

test('a request that was turned away has a row with nulls for what it never reached', () => {
  const trace = { ...escalatedTrace(), attempts: [], usage: undefined, route: undefined, committedMs: undefined };
  const row = requestRow(trace, { status: 503, error: { code: 'no_backend_available', source: 'lfo' } });
  assert.equal(row.error_code, 'no_backend_available');
  assert.deepEqual([row.queue_ms, row.local_ms, row.prompt_tokens, row.committed_ms], [null, null, null, null]);
  assert.equal(row.attempts, '[]');
});

test('counts that are finite and absurd are kept within what a database holds', () => {
  const trace = escalatedTrace();
  for (const absurd of [2 ** 53, 1e300, Infinity]) {
    trace.usage = { promptTokens: absurd, completionTokens: absurd, reasoningTokens: absurd, cachedTokens: absurd };
    trace.promptTokens = absurd;
    trace.costUsd = absurd;
    const row = requestRow(trace, { status: 200 });
    for (const column of ['prompt_tokens', 'completion_tokens', 'reasoning_tokens', 'cached_tokens', 'routed_tokens']) {
      assert.equal(Object.entries(row).find(([name]) => name === column)?.[1], 2 ** 31 - 1, column);
    }
    assert.equal(row.cost_usd, Number.isFinite(absurd) ? absurd : null);
  }
});

test('what is stored of a request and what is shown of it while it is in memory are the same', () => {
  const trace = escalatedTrace();
  trace.warnings.set('seed', 'not honoured');
  const outcome = { status: 502, error: { code: 'upstream_error', source: 'upstream' } } as const;
  assert.deepEqual(viewRow(requestRow(trace, outcome)), viewTrace(trace, outcome, undefined));
  assert.deepEqual(
    [viewTrace(trace, undefined, undefined).state, viewTrace(trace, undefined, undefined).status],
    ['answering', null],
  );
});

test('the predicted wait is on record beside the real one, where both are of one backend', () => {
  const trace = escalatedTrace();
  const waits = (features: NonNullable<RequestTrace['features']>) => {
    const row = requestRow({ ...trace, features }, { status: 200 });
    return [row.predicted_wait_ms, row.wait_ms];
  };
  assert.deepEqual(waits({ predicted_first_token_ms: 12 }), [12, 9]);
  assert.deepEqual(waits({ predicted_first_token_ms: 12, predicted_backend: 'embedded' }), [12, 9]);
  assert.deepEqual(waits({ predicted_first_token_ms: 12, predicted_backend: 'phone' }), [12, null]);
  assert.deepEqual(waits({ predicted_first_token_ms: null }), [null, 9]);
});
