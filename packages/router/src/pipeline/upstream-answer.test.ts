import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { type Cancellation, childOf } from '../core/abort.ts';
import { BackendError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import { sourceOf } from '../core/flow.ts';
import {
  type AnswerTaker,
  type Batch,
  UpstreamAnswer,
  type UpstreamContext,
  type UpstreamOptions,
} from './upstream-answer.ts';

const start: InferenceEvent = { type: 'start', model: 'm' };
const text = (value: string): InferenceEvent => ({ type: 'text-delta', text: value });
const finish: InferenceEvent = { type: 'finish', reason: 'stop', usage: { promptTokens: 1, completionTokens: 1 } };

/** Milliseconds of silence, an event, or some that come together. */
type Step = number | 'keep-alive' | InferenceEvent | readonly InferenceEvent[];

const slow = { connectMs: 2000, idleMs: 300, totalMs: 100_000 };

interface Run {
  readonly clock: FakeClock;
  readonly events: InferenceEvent[];
  /** What it threw, once it has. */
  error: unknown;
  ended: boolean;
  readonly client: AbortController;
  signal: Cancellation | undefined;
  answer: UpstreamAnswer | undefined;
}

function readAll(steps: readonly Step[], options: Partial<UpstreamOptions> = {}, onEvent?: () => Promise<void>): Run {
  const clock = new FakeClock();
  const client = new AbortController();
  const run: Run = { clock, events: [], error: undefined, ended: false, client, signal: undefined, answer: undefined };
  const answer = new UpstreamAnswer((context) => ((run.signal = context.signal), play(clock, steps, context)), {
    backend: 'b',
    clock,
    abort: childOf(client.signal),
    promptTokens: 7,
    budgets: { connectMs: 2000, firstTokenMs: 1000, idleMs: 300, totalMs: 10_000 },
    limits: { answerBytes: 1000, answerTokens: 100 },
    ...options,
  });
  run.answer = answer;
  const consume = async (): Promise<void> => {
    try {
      await answer.read({
        dueMs: () => Infinity,
        take(events) {
          for (const event of events) run.events.push(event);
          return onEvent?.();
        },
        due: () => undefined,
      });
    } catch (error) {
      run.error = error;
    }
    answer.close();
    run.ended = true;
  };
  void consume();
  return run;
}

/** Deaf to aborts on purpose: the watch must not depend on a backend's manners. */
async function* play(
  clock: FakeClock,
  steps: readonly Step[],
  context: UpstreamContext,
): AsyncGenerator<readonly InferenceEvent[]> {
  for (const step of steps) {
    if (typeof step === 'number') await new Promise<void>((resolve) => clock.schedule(step, resolve));
    else if (step === 'keep-alive') context.keepAlive();
    else yield 'type' in step ? [step] : step;
  }
}

/** A taker that is busy until it asks for more. */
class Asking implements AnswerTaker {
  #dueMs = Infinity;
  readonly #answer: UpstreamAnswer;
  #given = Promise.withResolvers<Batch | 'due'>();
  #goOn: (() => void) | undefined;

  constructor(answer: UpstreamAnswer) {
    this.#answer = answer;
  }

  dueMs(): number {
    return this.#dueMs;
  }

  next(dueMs: number): Promise<Batch | 'due'> {
    this.#dueMs = dueMs;
    this.#given = Promise.withResolvers();
    const { promise } = this.#given;
    if (this.#goOn === undefined) this.#answer.read(this).catch((error: unknown) => this.#given.reject(error));
    else this.#goOn();
    return promise;
  }

  take(events: Batch): Promise<void> {
    return this.#give(events);
  }

  due(): Promise<void> {
    return this.#give('due');
  }

  #give(given: Batch | 'due'): Promise<void> {
    this.#given.resolve(given);
    return new Promise((resolve) => (this.#goOn = resolve));
  }
}

function assertTimeout(run: Run): void {
  assert.ok(run.error instanceof BackendError, String(run.error));
  assert.equal(run.error.fault, 'timeout');
  assert.equal(run.signal?.aborted, true);
  assert.equal(run.signal.reason, run.error);
}

test('an answer within its budgets passes unchanged and leaves no timer', async () => {
  const run = readAll([start, 900, text('a'), 200, text('b'), 299, finish]);
  await run.clock.advanceAsync(2000);
  assert.deepEqual(run.events, [start, text('a'), text('b'), finish]);
  assert.equal(run.error, undefined);
  assert.equal(run.clock.pendingTimers, 0);
});

test('a start and an empty delta do not end the first-token budget', async () => {
  const run = readAll([start, 400, text(''), 5000, text('late')]);
  await run.clock.advanceAsync(999);
  assert.equal(run.ended, false);
  await run.clock.advanceAsync(1);
  assertTimeout(run);
});

test('keep-alives alone extend the first-token budget', async () => {
  const run = readAll([start, 900, 'keep-alive', 900, 'keep-alive', 900, text('a'), finish]);
  await run.clock.advanceAsync(3000);
  assert.equal(run.error, undefined);
  assert.equal(run.events.length, 3);
});

test('keep-alives do not extend the gap between events', async () => {
  const run = readAll([text('a'), 200, 'keep-alive', 200, text('b'), finish]);
  await run.clock.advanceAsync(299);
  assert.equal(run.ended, false);
  await run.clock.advanceAsync(1);
  assertTimeout(run);
});

test('between thoughts the first-token budget applies, and after the first word the gap', async () => {
  const thought: InferenceEvent = { type: 'reasoning-delta', text: 'hm' };
  const run = readAll([start, 900, thought, 900, thought, 900, text('a'), 299, text('b'), 400, finish]);
  await run.clock.advanceAsync(900 * 3 + 299);
  assert.equal(run.error, undefined);
  assert.equal(run.events.length, 5);
  await run.clock.advanceAsync(300);
  assertTimeout(run);
});

test('a caller that holds an event does not use up the gap', async () => {
  const held = { release: (): void => undefined };
  const run = readAll([text('a'), 100, finish], {}, () => new Promise((resolve) => (held.release = resolve)));
  await run.clock.advanceAsync(5000);
  assert.equal(run.ended, false);
  held.release();
  await run.clock.advanceAsync(200);
  held.release();
  await settle();
  assert.equal(run.error, undefined);
  assert.equal(run.events.length, 2);
});

test('nothing at all within the total time is a timeout', async () => {
  const run = readAll(Array.from({ length: 30 }, () => [900, 'keep-alive'] satisfies Step[]).flat());
  await run.clock.advanceAsync(9999);
  assert.equal(run.ended, false);
  await run.clock.advanceAsync(1);
  assertTimeout(run);
});

test('an answer still flowing at the end of the total time finishes with length', async () => {
  const run = readAll(Array.from({ length: 1000 }, () => [200, text('a')] satisfies Step[]).flat());
  await run.clock.advanceAsync(11_000);
  assert.equal(run.error, undefined);
  const last = run.events.at(-1);
  assert.ok(last?.type === 'finish' && last.reason === 'length');
  assert.equal(last.usage.estimated, true);
  assert.equal(run.signal?.aborted, true);
});

for (const [name, limits] of [
  ['size', { answerBytes: 10, answerTokens: 100 }],
  ['tokens', { answerBytes: 1000, answerTokens: 5 }],
] as const) {
  test(`an answer beyond its ${name} finishes with length and the upstream is stopped`, async () => {
    const run = readAll(
      Array.from({ length: 100 }, () => text('ab')),
      { limits },
    );
    await settle();
    assert.deepEqual(
      run.events.slice(0, 5),
      Array.from({ length: 5 }, () => text('ab')),
    );
    assert.equal(run.events.length, 6);
    assert.deepEqual(run.events[5], {
      type: 'finish',
      reason: 'length',
      nativeReason: 'answer_limit',
      usage: { promptTokens: 7, completionTokens: 3, estimated: true },
    });
    assert.equal(run.signal?.aborted, true);
  });
}

test('an abort ends it at once with its reason though the backend is deaf', async () => {
  const run = readAll([text('a'), 100_000]);
  await settle();
  const reason = new Error('gone');
  run.client.abort(reason);
  await settle();
  assert.equal(run.error, reason);
});

test('an answer without a finish is cut, never complete', async () => {
  const run = readAll([start, text('a')]);
  await settle();
  assert.ok(run.error instanceof BackendError && run.error.fault === 'cut');
});

test('what the backend throws passes through, and its finally runs when the caller leaves', async () => {
  const error = new BackendError('x', { fault: 'server', backend: 'b' });
  let cleaned = 0;
  async function* failing(): AsyncGenerator<readonly InferenceEvent[]> {
    try {
      yield [text('a')];
      throw error;
    } finally {
      cleaned++;
    }
  }
  const options: UpstreamOptions = {
    backend: 'b',
    clock: new FakeClock(),
    abort: childOf(new AbortController().signal),
    promptTokens: 7,
    budgets: { connectMs: 2000, firstTokenMs: 1000, idleMs: 300, totalMs: 10_000 },
    limits: { answerBytes: 1000, answerTokens: 100 },
  };
  const read = new UpstreamAnswer(failing, options);
  const reader = new Asking(read);
  assert.deepEqual(await reader.next(Infinity), [text('a')]);
  await assert.rejects(() => reader.next(Infinity), error);
  read.close();
  const left = new UpstreamAnswer(failing, options);
  await new Asking(left).next(Infinity);
  left.close();
  await settle();
  assert.equal(cleaned, 2);
});

test('a thousand events schedule a handful of timers', async () => {
  let scheduled = 0;
  class CountingClock extends FakeClock {
    override schedule(delayMs: number, run: () => void): () => void {
      scheduled++;
      return super.schedule(delayMs, run);
    }
  }
  const clock = new CountingClock();
  const events = Array.from({ length: 1000 }, () => text('a'));
  const run = readAll([...events, finish], { clock, limits: { answerBytes: 1e6, answerTokens: 1e6 } });
  for (let turn = 0; turn < 20 && !run.ended; turn++) await settle(50);
  assert.equal(run.events.length, 1001);
  assert.ok(scheduled < 10, `${scheduled} timers`);
});

test('an answer without text, refusal or call is an error where that is asked for', async () => {
  const reasoning: InferenceEvent = { type: 'reasoning-delta', text: 'hm' };
  const refused = readAll([start, reasoning, finish], { refusesEmpty: true });
  await refused.clock.advanceAsync(1);
  assert.ok(refused.error instanceof BackendError && refused.error.fault === 'unusable');
  assert.equal(refused.error.countsAgainstBackend, false);
  const length: InferenceEvent = { ...finish, reason: 'length' };
  for (const steps of [
    [start, finish],
    [start, length],
    [start, text('a'), finish],
  ]) {
    const run = readAll(steps, { refusesEmpty: steps.length > 2 || steps.includes(length) });
    await run.clock.advanceAsync(1);
    assert.equal(run.error, undefined);
  }
});

test('what a cut answer has cost is known', async () => {
  const cut = readAll([start, text('abcdefgh')]);
  await cut.clock.advanceAsync(1);
  assert.ok(cut.error instanceof BackendError && cut.error.fault === 'cut');
  assert.deepEqual(cut.answer?.usageSoFar, { promptTokens: 7, completionTokens: 2, estimated: true });
});

test('counts of a backend that are finite and absurd are kept within bounds, whoever reads them', async () => {
  const most = 2 ** 31 - 1;
  const absurd = { promptTokens: 1e300, completionTokens: 2 ** 53, reasoningTokens: 1.5, cachedTokens: -1 };
  const run = readAll([start, text('a'), { type: 'finish', reason: 'stop', usage: absurd }]);
  await run.clock.advanceAsync(1);
  const last = run.events.at(-1);
  assert.ok(last?.type === 'finish', String(run.error));
  assert.deepEqual(last.usage, {
    promptTokens: most,
    completionTokens: most,
    reasoningTokens: 1,
    cachedTokens: 0,
  });
});

/** An upstream that is told what to say and when. */
function spoken(): {
  say: (event: InferenceEvent) => void;
  pulls: () => number;
  events: AsyncIterable<readonly InferenceEvent[]>;
} {
  const queue: InferenceEvent[] = [];
  let wake: () => void = () => undefined;
  let pulls = 0;
  const events: AsyncIterable<readonly InferenceEvent[]> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        pulls++;
        while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const value = queue.shift();
        return value === undefined ? { done: true, value } : { done: false, value: [value] };
      },
    }),
  };
  return { events, pulls: () => pulls, say: (event) => (queue.push(event), wake()) };
}

for (const [name, before] of [
  ['before its first event', []],
  ['after its start', [start]],
  ['in its thoughts', [start, { type: 'reasoning-delta', text: 'hm' }]],
  ['in its text', [start, text('A')]],
  ['in a call', [start, { type: 'tool-call-start', index: 0, id: 'c', name: 'f' }]],
] satisfies readonly (readonly [string, readonly InferenceEvent[]])[]) {
  test(`a limit that wins loses nothing of an upstream that falls silent ${name} and speaks again`, async () => {
    const clock = new FakeClock();
    const upstream = spoken();
    const answer = new UpstreamAnswer(() => upstream.events, {
      backend: 'b',
      clock,
      abort: childOf(new AbortController().signal),
      promptTokens: 7,
      budgets: { connectMs: 2000, firstTokenMs: 60_000, idleMs: 30_000, totalMs: 100_000 },
      limits: { answerBytes: 1000, answerTokens: 100 },
    });
    const reader = new Asking(answer);
    for (const event of before) {
      upstream.say(event);
      assert.deepEqual(await reader.next(Infinity), [event]);
    }
    for (const dueMs of [100, 200]) {
      const waiting = reader.next(dueMs);
      await clock.advanceAsync(100);
      assert.equal(await waiting, 'due');
    }
    assert.equal(upstream.pulls(), before.length + 1, 'one read is under way, however often it was waited for');
    upstream.say(text('B'));
    assert.deepEqual(await reader.next(Infinity), [text('B')]);
    upstream.say(finish);
    assert.deepEqual(await reader.next(Infinity), [finish]);
    assert.equal(answer.endedBy, 'backend');
  });
}

test('what comes between two waits is kept', async () => {
  const clock = new FakeClock();
  const upstream = spoken();
  const run = readAll([]);
  const answer = new UpstreamAnswer(() => upstream.events, {
    backend: 'b',
    clock,
    abort: childOf(run.client.signal),
    promptTokens: 7,
    budgets: { connectMs: 2000, firstTokenMs: 1000, idleMs: 300, totalMs: 10_000 },
    limits: { answerBytes: 1000, answerTokens: 100 },
  });
  const reader = new Asking(answer);
  const waiting = reader.next(50);
  await clock.advanceAsync(50);
  assert.equal(await waiting, 'due');
  upstream.say(text('B'));
  await settle();
  await clock.advanceAsync(5000);
  assert.deepEqual(await reader.next(Infinity), [text('B')], 'it had come in time');
});

test('waiting for a limit does not begin the gap between events anew', async () => {
  const clock = new FakeClock();
  const upstream = spoken();
  const answer = new UpstreamAnswer(() => upstream.events, {
    backend: 'b',
    clock,
    abort: childOf(new AbortController().signal),
    promptTokens: 7,
    budgets: { connectMs: 2000, firstTokenMs: 1000, idleMs: 300, totalMs: 10_000 },
    limits: { answerBytes: 1000, answerTokens: 100 },
  });
  const reader = new Asking(answer);
  upstream.say(text('A'));
  await reader.next(Infinity);
  const waiting = reader.next(200);
  await clock.advanceAsync(200);
  assert.equal(await waiting, 'due');
  const rest = assert.rejects(reader.next(Infinity), { fault: 'timeout' });
  await clock.advanceAsync(100);
  await rest;
});

test('an answer that has finished is read to its end and not aborted', async () => {
  const run = readAll([start, text('a'), finish, 100]);
  await settle();
  assert.equal(run.ended, true);
  await run.clock.advanceAsync(100);
  assert.equal(run.signal?.aborted, false);
  assert.equal(run.clock.pendingTimers, 0);
});

test('nothing is waited for after the finish of an answer', async () => {
  const run = readAll([start, text('a'), finish, 100_000]);
  await settle();
  assert.equal(run.ended, true);
  assert.equal(run.signal?.aborted, false);
});

test('an answer in one piece has its own time, and ends where its server turns out to be down', async () => {
  const looks: number[] = [];
  const whole = { wholeMs: 20_000, isDown: async () => looks.push(1) > 2, budgets: { ...slow, firstTokenMs: 1000 } };
  const slowly = readAll([12_000, [start, text('a'), finish]], { ...whole, isDown: async () => false });
  await slowly.clock.advanceAsync(12_000);
  assert.equal(slowly.error, undefined);
  assert.equal(slowly.events.length, 3);
  const gone = readAll([100_000], whole);
  await gone.clock.advanceAsync(14_999);
  assert.equal(gone.ended, false);
  await gone.clock.advanceAsync(1);
  assert.ok(gone.error instanceof BackendError && gone.error.fault === 'cut', String(gone.error));
  const silent = readAll([100_000], { ...whole, isDown: async () => false });
  await silent.clock.advanceAsync(20_999);
  assert.equal(silent.ended, false);
  await silent.clock.advanceAsync(1);
  assertTimeout(silent);
});

test('of a batch nothing is lost, and nothing after its finish is taken', async () => {
  const run = readAll([[start, text('a'), text('b'), finish, text('c')]]);
  await settle();
  assert.deepEqual(run.events, [start, text('a'), text('b'), finish]);
});

test('an end that comes while the words before it are being taken is told at once', async () => {
  const clock = new FakeClock();
  const told: number[] = [];
  const taking = Promise.withResolvers<void>();
  const answer = new UpstreamAnswer(
    () =>
      sourceOf((to) => {
        queueMicrotask(() => [[start, text('a')], [text('b')], [finish]].forEach((batch) => to.put(batch)));
        return { pause() {}, resume() {}, stop() {} };
      }),
    {
      backend: 'b',
      clock,
      abort: childOf(new AbortController().signal),
      promptTokens: 7,
      budgets: { ...slow, firstTokenMs: 1000 },
      limits: { answerBytes: 1000, answerTokens: 100 },
      finished: ({ completionTokens }) => told.push(completionTokens),
    },
  );
  const taken: InferenceEvent[] = [];
  const read = answer.read({
    dueMs: () => Infinity,
    take: (events) => (taken.push(...events), taking.promise),
    due: () => undefined,
  });
  await settle();
  assert.deepEqual([taken.length, told], [2, [1]]);
  taking.resolve();
  await read;
  assert.equal(
    taken.at(-1),
    taken.find(({ type }) => type === 'finish'),
  );
  answer.close();
});
