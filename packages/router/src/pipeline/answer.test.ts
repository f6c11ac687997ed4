import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';

import { createAnswerJudge } from '../confidence/answer-judge.ts';
import { textAnswer, weatherTool } from '../confidence/judge-fixture.ts';
import { type Cancellation, childOf } from '../core/abort.ts';
import type { Attempt as PlannedAttempt, Backend, CallContext } from '../core/backend.ts';
import { BackendError, deadlineExceeded, NoBackendError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { AnswerWriter } from '../core/sink.ts';
import { beginTrace, type RequestTrace } from '../core/trace.ts';
import { answer } from './answer.ts';
import type { Stages } from './attempt.ts';

/** An event, a pause in milliseconds, a failure, silence until it is aborted, or word of an LFO behind. */
type Said = InferenceEvent | number | Error | 'silence' | 'via';

interface Scene {
  readonly clock: FakeClock;
  readonly trace: RequestTrace;
  readonly written: InferenceEvent[];
  readonly client: AbortController;
  /** How the leases of each backend ended. */
  readonly outcomes: Readonly<Record<string, string[]>>;
  readonly signals: Cancellation[];
  /** Whether judged local answers were held back, as hedging hears it. */
  readonly judged: readonly boolean[];
  readonly done: Promise<void>;
  result: 'running' | 'answered' | { readonly error: unknown };
}

interface Play {
  readonly request?: Partial<ChatRequest>;
  readonly local?: readonly Said[];
  readonly cloud?: readonly Said[];
  readonly deadlineMs?: number;
  readonly headDueMs?: number;
  readonly hasHead?: boolean;
  readonly totalMs?: number;
  readonly attempts?: readonly PlannedAttempt[];
  /** The cloud begins so long after the local attempt. */
  readonly hedgeMs?: number;
  /** The client takes the end of the answer when this has come. */
  readonly reads?: Promise<void>;
}

const gatedThenCloud: readonly PlannedAttempt[] = [
  { tier: 'local', gated: true },
  { tier: 'cloud', gated: false },
];

/** Plays one request through the pipeline over scripted backends. */
function play(script: Play): Scene {
  const clock = new FakeClock();
  const request = chatRequest(script.request);
  const trace = beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7);
  const written: InferenceEvent[] = [];
  const outcomes: Record<string, string[]> = { local: [], cloud: [] };
  const client = new AbortController();
  const signals: Cancellation[] = [];
  const judged: boolean[] = [];
  const backends = { local: scripted('local', script.local ?? []), cloud: scripted('cloud', script.cloud ?? []) };

  function scripted(tier: Tier, said: readonly Said[]): Backend {
    return {
      id: tier,
      tier,
      models: ['m'],
      capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
      status: () => ({ state: 'ready' }),
      probe: async () => ({ state: 'ready' }),
      close: async () => undefined,
      async *infer(_request: ChatRequest, call: CallContext) {
        const { signal } = call;
        signals.push(signal);
        for (const part of said) {
          if (part === 'silence')
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          else if (part === 'via')
            call.cameVia?.([{ router: `${tier}-lfo`, backend: null, model: null, device: null }]);
          else if (typeof part === 'number') await new Promise<void>((resolve) => clock.schedule(part, resolve));
          else if (part instanceof Error) throw part;
          else yield [part];
        }
      },
    };
  }

  const stages: Stages = {
    clock,
    pool: {
      view: () => ({ backends: [] }),
      snapshot: () => ({ backends: [] }),
      hasCandidate: (attempt, { exclude }) => !exclude.has(attempt.tier),
      predict: () => new Map(),
      wake() {},
      async acquire(attempt, { exclude, signal }) {
        signal.throwIfAborted();
        if (exclude.has(attempt.tier)) throw new NoBackendError('none', { reason: 'local_unavailable', skipped: [] });
        return {
          backend: backends[attempt.tier],
          model: 'm',
          rates: () => ({}),
          begun: () => undefined,
          done: (outcome) => outcomes[attempt.tier]?.push(outcome),
        };
      },
    },
    route: () => ({
      features: {
        request,
        mode: request.hints.mode,
        promptTokens: 5,
        promptTokensFrom: 'count',
        warmTokens: 0,
        limits: { maxLocalTokens: 1500, firstTokenBudgetMs: 10_000, confidenceThreshold: 0.7 },
      },
      decision: { attempts: script.attempts ?? gatedThenCloud, reasons: ['local_first'], votes: [] },
      recorded: {},
    }),
    judge: createAnswerJudge(),
    gate: {
      maxHoldTokens: 48,
      maxHoldMs: 20_000,
      maxFormatMs: 60_000,
      maxFormatBytes: 1_048_576,
      policy: 'judge',
      calibration: 'auto',
      shadowRate: 0,
      sampleLocal: 0,
      secondOpinion: false,
      hedge: script.hedgeMs !== undefined,
      hedgeShare: 0.08,
    },
    ...(script.hedgeMs !== undefined && {
      hedging: { delayMs: () => script.hedgeMs, judged: (_request, wasHeldBack) => void judged.push(wasHeldBack) },
    }),
    budgets: {
      local: { connectMs: 2000, firstTokenMs: 120_000, idleMs: 30_000, totalMs: script.totalMs ?? 600_000 },
      cloud: { connectMs: 5000, firstTokenMs: 120_000, idleMs: 30_000, totalMs: 600_000 },
    },
    limits: { ...limits },
    random: () => 0,
    retries: { delayBeforeRetry: () => undefined, grantsStandIn: () => true },
  };
  let committed = false;
  const writer: AnswerWriter = {
    get committed() {
      return committed;
    },
    write(events) {
      written.push(...events);
      committed ||= request.stream && events.some(({ type }) => type.endsWith('-delta') || type === 'tool-call-start');
      return events.some(({ type }) => type === 'finish') ? script.reads : undefined;
    },
    end: async () => ({ status: 200 }),
    fail: async () => ({ status: 500 }),
  };
  const abort = childOf(client.signal);
  if (script.deadlineMs !== undefined) clock.schedule(script.deadlineMs, () => abort.abort(deadlineExceeded()));
  const call = {
    signal: abort.signal,
    deadlineMs: script.deadlineMs,
    headDueMs: script.headDueMs,
    hasHead: () => script.hasHead === true,
    trace,
    costOf: () => undefined,
  };
  const scene: Scene = { clock, trace, written, client, outcomes, signals, judged, result: 'running', done: run() };
  async function run(): Promise<void> {
    await Promise.resolve();
    try {
      await answer(request, call, stages, writer);
      scene.result = 'answered';
    } catch (error) {
      scene.result = { error };
    }
  }
  return scene;
}

const limits = {
  bodyBytes: 1e6,
  bodyDepth: 100,
  messages: 100,
  tools: 100,
  upstreamEventBytes: 1e6,
  answerBytes: 1e6,
  answerTokens: 1e5,
  concurrency: 10,
  queue: 10,
  queueWaitMs: 1000,
  failedAuthPerMinute: 10,
  fetchImages: false,
  storeWaitMs: 50,
  onOutage: 'share' as const,
};
const unsure = textAnswer([-0.1, -0.1, -0.1, -2], ['It ', 'is ', 'Syd', 'ney']);
/** Held to its end, then found wanting. */
const json: Partial<ChatRequest> = { responseFormat: { type: 'json_object' } };
const notJson = textAnswer([-0.01, -0.01], ['no ', 'object']);
const fromCloud = textAnswer([], [])
  .slice(0, -1)
  .concat({ type: 'text-delta', text: 'Canberra' }, textAnswer([]).slice(-1));
const said = (scene: Scene): string =>
  scene.written.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');

describe('answer', () => {
  test('nothing is aborted on success, and each lease ends once', async () => {
    for (const stream of [true, false]) {
      const scene = play({ request: { stream }, local: textAnswer([-0.01, -0.01]) });
      await scene.done;
      await settle();
      assert.equal(scene.result, 'answered');
      assert.deepEqual(scene.outcomes, { local: ['success'], cloud: [] });
      assert.deepEqual(
        scene.signals.map(({ aborted }) => aborted),
        [false],
      );
      assert.equal(scene.clock.pendingTimers, 0);
    }
  });

  test('an escalation aborts its own attempt alone', async () => {
    const scene = play({ local: [...unsure.slice(0, -1), 'silence'], cloud: fromCloud });
    await scene.done;
    await settle();
    assert.equal(said(scene), 'Canberra');
    assert.deepEqual(
      scene.signals.map(({ aborted }) => aborted),
      [true, false],
    );
    assert.deepEqual(scene.outcomes, { local: ['success'], cloud: ['success'] });
  });

  for (const [deadlineMs, handedOverMs] of [
    [60_000, 59_900],
    [1000, 900],
    [500, 450],
  ] as const) {
    for (const stream of [true, false]) {
      test(`a deadline of ${deadlineMs} ms at a silent cloud hands over the held answer at ${handedOverMs} ms, ${stream ? 'streamed' : 'whole'}`, async () => {
        const scene = play({ request: { ...json, stream }, local: notJson, cloud: ['silence'], deadlineMs });
        await scene.clock.advanceAsync(handedOverMs - 1);
        assert.equal(scene.result, 'running');
        await scene.clock.advanceAsync(1);
        assert.equal(scene.result, 'answered');
        assert.equal(said(scene), 'no object');
        assert.deepEqual([scene.trace.degraded, scene.trace.route, scene.trace.reason], [true, 'local', 'degraded']);
        assert.deepEqual(scene.outcomes['cloud'], ['neutral']);
      });
    }
  }

  test('a client that waits for a head alone is handed the held answer in time, unless it has its head', async () => {
    const waiting = play({ request: json, local: notJson, cloud: ['silence'], headDueMs: 2000 });
    await waiting.clock.advanceAsync(1900);
    assert.equal(waiting.result, 'answered');
    const served = play({ request: json, local: notJson, cloud: [3000, ...fromCloud], headDueMs: 2000, hasHead: true });
    await served.clock.advanceAsync(3000);
    assert.equal(said(served), 'Canberra');
  });

  test('a cloud that has begun to stream has the whole deadline', async () => {
    const [start, text] = fromCloud;
    assert.ok(start !== undefined && text !== undefined);
    const scene = play({ request: json, local: notJson, cloud: [start, text, 'silence'], deadlineMs: 5000 });
    await scene.clock.advanceAsync(4999);
    assert.equal(scene.result, 'running');
    await scene.clock.advanceAsync(1);
    assert.deepEqual(scene.result, { error: deadlineExceeded() });
    assert.equal(said(scene), 'Canberra');
  });

  test('without a whole held answer the deadline is an error', async () => {
    const scene = play({ local: [...unsure.slice(0, -1), 'silence'], cloud: ['silence'], deadlineMs: 5000 });
    await scene.clock.advanceAsync(5000);
    assert.deepEqual(scene.result, { error: deadlineExceeded() });
  });

  test('a unary answer that is cut after many tokens is the next tier’s to give', async () => {
    const words = Array.from({ length: 100 }, (): InferenceEvent => ({ type: 'text-delta', text: 'word ' }));
    const cut = new BackendError('cut', { fault: 'cut', backend: 'local' });
    const scene = play({ request: { stream: false }, local: [...words, cut], cloud: fromCloud });
    await scene.done;
    assert.equal(said(scene), 'Canberra');
    assert.deepEqual(scene.outcomes, { local: ['failure'], cloud: ['success'] });
    assert.equal(scene.trace.attempts[0]?.usage?.estimated, true);
  });

  test('a backend that has finished gives its place back though the client has yet to read', async () => {
    const reading = Promise.withResolvers<void>();
    const scene = play({
      local: textAnswer([-0.01, -0.01]),
      attempts: [{ tier: 'local', gated: false }],
      reads: reading.promise,
    });
    await settle();
    assert.deepEqual(scene.outcomes['local'], ['success']);
    assert.equal(scene.result, 'running');
    scene.client.abort(new Error('left'));
    await scene.done;
    assert.deepEqual(scene.outcomes['local'], ['success'], 'once');
  });

  test('a stream that is cut after its commit ends in its error', async () => {
    const words = Array.from({ length: 20 }, (): InferenceEvent => ({ type: 'text-delta', text: 'word ' }));
    const cut = new BackendError('cut', { fault: 'cut', backend: 'local' });
    const scene = play({ local: [...words, cut], cloud: fromCloud });
    await scene.done;
    assert.deepEqual(scene.result, { error: cut });
    assert.equal(scene.trace.attempts.length, 1);
  });

  test('a call refused after released text is an error of the answer, not of the backend', async () => {
    const scene = play({
      request: { tools: [weatherTool] },
      local: [
        ...textAnswer(Array.from({ length: 16 }, () => 0)).slice(0, -1),
        { type: 'tool-call-start', index: 0, id: 'c', name: 'nope' },
        'silence',
      ],
    });
    await scene.done;
    assert.ok(typeof scene.result === 'object');
    const { error } = scene.result;
    assert.ok(error instanceof BackendError && error.code === 'tool_call_refused');
    assert.deepEqual(scene.outcomes['local'], ['neutral']);
    assert.deepEqual([scene.trace.attempts[0]?.outcome, scene.trace.attempts[0]?.reason], ['failed', 'unknown_tool']);
  });

  const slow: readonly Said[] = Array.from({ length: 100 }, (): Said[] => [
    { type: 'text-delta', text: '{' },
    100,
  ]).flat();

  test('the total time over during the hold is the next attempt’s', async () => {
    for (const stream of [true, false]) {
      const scene = play({ request: { ...json, stream }, local: slow, cloud: fromCloud, totalMs: 1000 });
      await scene.clock.advanceAsync(1000);
      assert.equal(scene.result, 'answered');
      assert.equal(said(scene), 'Canberra');
      assert.equal(scene.outcomes['local']?.[0], 'success', 'a long answer is no ill health');
    }
  });

  test('the total time over with nothing else to ask is length with what there is', async () => {
    for (const attempts of [gatedThenCloud, [{ tier: 'local', gated: false }] as const]) {
      const broken = new BackendError('broken', { fault: 'server', backend: 'cloud' });
      const scene = play({ request: { stream: false }, local: slow, cloud: [broken], totalMs: 1000, attempts });
      await scene.clock.advanceAsync(1000);
      assert.equal(scene.result, 'answered');
      assert.equal(said(scene), '{'.repeat(10));
      const last = scene.written.at(-1);
      assert.ok(last?.type === 'finish' && last.reason === 'length');
      assert.equal(scene.trace.degraded, attempts.length > 1);
      assert.equal(scene.trace.attempts[0]?.outcome, 'answered');
    }
  });

  test('where nothing is judged before it leaves nothing was held', async () => {
    const scene = play({ local: textAnswer([-0.01]), attempts: [{ tier: 'local', gated: false }] });
    await scene.done;
    assert.deepEqual([scene.trace.attempts[0]?.heldMs, scene.trace.attempts[0]?.heldTokens], [undefined, undefined]);
    const judged = play({ local: textAnswer([-0.01]) });
    await judged.done;
    assert.deepEqual([judged.trace.attempts[0]?.heldMs, judged.trace.attempts[0]?.heldTokens], [0, 1]);
  });

  test('a client that leaves ends the attempt at once', async () => {
    const scene = play({ local: ['silence'], cloud: fromCloud });
    await settle();
    const gone = new Error('gone');
    scene.client.abort(gone);
    await scene.done;
    assert.deepEqual(scene.result, { error: gone });
    assert.equal(scene.signals[0]?.aborted, true);
    assert.equal(scene.trace.attempts[0]?.outcome, 'cancelled');
    assert.equal(scene.trace.attempts.length, 1);
  });

  test('a fault of our own is told as what it is, though another attempt failed before', async () => {
    const broken = new BackendError('broken', { fault: 'server', backend: 'local' });
    const bug = new TypeError('bug');
    const scene = play({ local: [broken], cloud: [bug] });
    await scene.done;
    assert.deepEqual(scene.result, { error: bug });
  });
});

describe('a race of local and cloud', () => {
  const sure = textAnswer([-0.01, -0.01]);
  const passing: readonly Said[] = [200, ...sure];
  const failing: readonly Said[] = [200, ...unsure];
  const states = ({ signals }: Scene): readonly boolean[] => signals.map(({ aborted }) => aborted);
  const outcomes = ({ trace }: Scene): readonly unknown[] => trace.attempts.map(({ tier, outcome }) => [tier, outcome]);

  test('the local answer is accepted first: the cloud is aborted and counted, and nothing is degraded', async () => {
    for (const stream of [true, false]) {
      const scene = play({ request: { stream }, local: passing, cloud: ['silence'], hedgeMs: 100 });
      await scene.clock.advanceAsync(200);
      await settle();
      assert.equal(scene.result, 'answered');
      assert.deepEqual(states(scene), [false, true]);
      const { route, backend, degraded, reason } = scene.trace;
      assert.deepEqual([route, backend, degraded, reason], ['local', 'local', false, 'confident']);
      assert.deepEqual(outcomes(scene), [
        ['local', 'answered'],
        ['cloud', 'cancelled'],
      ]);
      assert.deepEqual(scene.outcomes, { local: ['success'], cloud: ['neutral'] });
      assert.equal(scene.trace.attempts[1]?.isHedge, true);
      assert.deepEqual(scene.judged, [false]);
      assert.equal(scene.clock.pendingTimers, 0);
    }
  });

  test('a local answer that comes before the cloud would have been asked leaves it alone', async () => {
    const scene = play({ local: passing, cloud: fromCloud, hedgeMs: 300 });
    await scene.clock.advanceAsync(1000);
    assert.equal(scene.result, 'answered');
    assert.equal(scene.signals.length, 1);
    assert.equal(scene.clock.pendingTimers, 0);
  });

  test('the cloud answers first: the local attempt is aborted, and counts neither against it nor as held back', async () => {
    for (const stream of [true, false]) {
      const scene = play({ request: { stream }, local: ['silence'], cloud: [50, ...fromCloud], hedgeMs: 100 });
      await scene.clock.advanceAsync(150);
      await settle();
      assert.equal(scene.result, 'answered');
      assert.equal(said(scene), 'Canberra');
      assert.deepEqual(states(scene), [true, false]);
      const { route, backend, degraded, finishReason } = scene.trace;
      assert.deepEqual([route, backend, degraded, finishReason], ['cloud', 'cloud', false, 'stop']);
      assert.deepEqual(outcomes(scene), [
        ['local', 'cancelled'],
        ['cloud', 'answered'],
      ]);
      assert.deepEqual(scene.outcomes, { local: ['neutral'], cloud: ['success'] });
      assert.deepEqual(scene.judged, []);
    }
  });

  test('a local answer that is held back is followed by the cloud’s, which is under way: one call', async () => {
    const scene = play({ request: { stream: false }, local: failing, cloud: [300, ...fromCloud], hedgeMs: 100 });
    await scene.clock.advanceAsync(399);
    assert.equal(scene.result, 'running');
    await scene.clock.advanceAsync(1);
    await settle();
    assert.equal(scene.result, 'answered');
    assert.equal(said(scene), 'Canberra');
    assert.equal(scene.signals.length, 2);
    assert.deepEqual([scene.trace.reason, scene.trace.route], ['low_confidence', 'cloud']);
    assert.deepEqual(scene.judged, [true]);
  });

  test('an unstreamed answer of the cloud wins at its end alone', async () => {
    const cut = new BackendError('cut', { fault: 'cut', backend: 'cloud' });
    const scene = play({
      request: { stream: false },
      local: [400, ...sure],
      cloud: [...fromCloud.slice(0, -1), 100, cut],
      hedgeMs: 100,
    });
    await scene.clock.advanceAsync(400);
    await settle();
    assert.deepEqual([scene.result, scene.trace.route, scene.trace.degraded], ['answered', 'local', false]);
  });

  test('a cloud that fails in the race leaves what was held back', async () => {
    const broken = new BackendError('broken', { fault: 'server', backend: 'cloud' });
    const scene = play({
      request: { ...json, stream: false },
      local: [200, ...notJson],
      cloud: [broken],
      hedgeMs: 100,
    });
    await scene.clock.advanceAsync(200);
    await settle();
    assert.equal(said(scene), 'no object');
    assert.deepEqual([scene.trace.degraded, scene.trace.reason], [true, 'degraded']);
    assert.ok(scene.trace.reasons.includes('cloud_failed'));
    assert.equal(scene.signals.length, 2);
  });

  test('a deadline at a silent cloud hands over the held answer', async () => {
    const scene = play({
      request: { ...json, stream: false },
      local: [200, ...notJson],
      cloud: ['silence'],
      hedgeMs: 100,
      deadlineMs: 5000,
    });
    await scene.clock.advanceAsync(4899);
    assert.equal(scene.result, 'running');
    await scene.clock.advanceAsync(1);
    await settle();
    assert.deepEqual([scene.result, said(scene), scene.trace.degraded], ['answered', 'no object', true]);
  });

  test('a client that leaves ends both', async () => {
    const scene = play({ local: ['silence'], cloud: ['silence'], hedgeMs: 100 });
    await scene.clock.advanceAsync(150);
    scene.client.abort(new Error('gone'));
    await settle();
    assert.deepEqual(states(scene), [true, true]);
    assert.equal(scene.clock.pendingTimers, 0);
    assert.deepEqual(scene.judged, []);
  });

  test('the way of the answer that won is told, and not that of the other', async () => {
    for (const [cloud, via] of [
      [[50, 'via', ...fromCloud], 'cloud-lfo'],
      [[50, ...fromCloud], undefined],
    ] as const) {
      const scene = play({ local: ['via', 'silence'], cloud, hedgeMs: 100 });
      await scene.clock.advanceAsync(150);
      await settle();
      assert.deepEqual([said(scene), scene.trace.via?.[0]?.router], ['Canberra', via]);
    }
  });
});
