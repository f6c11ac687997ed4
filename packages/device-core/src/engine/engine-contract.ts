import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EngineError } from './engine.ts';
import type { Engine, EngineEvent, EngineOptions, EngineRequest, LoadedModel, ModelFile } from './engine.ts';

/** What the suite needs to try an engine. */
export interface EngineUnderTest {
  readonly engine: Engine;
  readonly model: ModelFile;
  readonly options: EngineOptions;
  /** Loading it must fail; absent where the engine reads no file. */
  readonly missing?: ModelFile;
}

const never = new AbortController().signal;
const weather = {
  name: 'get_weather',
  description: 'Weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
};

function ask(content: string, more: Partial<EngineRequest> = {}): EngineRequest {
  return {
    messages: [{ role: 'user', content }],
    tools: [],
    stop: [],
    temperature: 0,
    seed: 1,
    maxTokens: 12,
    ...more,
  };
}

async function collect(model: LoadedModel, request: EngineRequest, signal = never): Promise<EngineEvent[]> {
  return Array.fromAsync(model.run(request, signal, () => {}));
}

function textOf(events: readonly EngineEvent[]): string {
  return events.map((event) => (event.k === 'text' ? event.text : '')).join('');
}

/** Fails unless the events follow `(text|reasoning|call args* call_end|scores)* done`. */
function assertGrammar(events: readonly EngineEvent[]): void {
  let call: number | undefined;
  let calls = 0;
  for (const [at, event] of events.entries()) {
    if (event.k === 'call') {
      assert.equal(call, undefined, 'a call begins inside another');
      assert.equal(event.index, calls++);
      call = event.index;
    } else if (event.k === 'args' || event.k === 'call_end') {
      assert.equal(event.index, call, `${event.k} outside its call`);
      if (event.k === 'call_end') call = undefined;
    } else if (event.k === 'done') {
      assert.equal(at, events.length - 1, 'something follows done');
      if (event.finishReason === 'tool_calls') assert.ok(calls > 0, 'tool_calls without a call');
    }
  }
  assert.equal(events.at(-1)?.k, 'done');
}

/** The very error: an object of another realm, as under Jest, is none to `assert`. */
function is(reason: Error): (error: unknown) => boolean {
  return (error) => error === reason;
}

function doneOf(events: readonly EngineEvent[]): Extract<EngineEvent, { k: 'done' }> {
  const last = events.at(-1);
  assert.ok(last?.k === 'done', 'the answer has no end');
  return last;
}

/** The suite every engine passes. `make` is called once; the engine is closed at the end. */
export function describeEngine(name: string, make: () => Promise<EngineUnderTest>): void {
  describe(`engine ${name}`, { concurrency: false }, () => {
    let under: EngineUnderTest;
    let model: LoadedModel;

    before(async () => {
      under = await make();
      model = await under.engine.load(under.model, under.options, () => {}, never);
    });
    after(async () => {
      await model.close();
      await model.close();
      await under.engine.close();
    });

    test('what is loaded carries the name asked for and a context', () => {
      assert.equal(model.info.id, under.model.id);
      assert.ok(model.info.ctx > 0 && model.info.ctx <= under.options.contextTokens);
      assert.ok(model.slots >= 1 && model.slots <= under.options.slots);
    });

    test('a load aborted beforehand ends with the reason', async () => {
      const reason = new Error('not wanted');
      await assert.rejects(
        under.engine.load(under.model, under.options, () => {}, AbortSignal.abort(reason)),
        is(reason),
      );
    });

    test('a file that is missing is an EngineError', async (t) => {
      if (under.missing === undefined) return t.skip('the engine reads no file');
      await assert.rejects(
        under.engine.load(under.missing, under.options, () => {}, never),
        EngineError,
      );
    });

    test('an answer follows the grammar and its usage agrees with count', async () => {
      const request = ask('Count from one to ten in words.');
      const events = await collect(model, request);
      assertGrammar(events);
      assert.notEqual(textOf(events), '');
      const { usage } = doneOf(events);
      assert.equal(usage.prompt_tokens, (await model.count(request, never)).tokens);
      assert.ok(usage.completion_tokens > 0 && usage.completion_tokens <= 12);
    });

    test('max_tokens ends the answer with length', async () => {
      const done = doneOf(await collect(model, ask('Count from one to ten in words.', { maxTokens: 3 })));
      assert.equal(done.finishReason, 'length');
      assert.ok(done.usage.completion_tokens <= 3);
    });

    test('a stop text ends the answer with stop and is not part of it', async () => {
      const whole = textOf(await collect(model, ask('Count from one to ten in words.')));
      const stop = whole
        .slice(Math.floor(whole.length / 2))
        .trim()
        .slice(0, 3);
      assert.notEqual(stop, '', `nothing to stop at in ${whole}`);
      const events = await collect(model, ask('Count from one to ten in words.', { stop: [stop] }));
      assert.equal(doneOf(events).finishReason, 'stop');
      assert.ok(!textOf(events).includes(stop));
    });

    test('prefill is reported in rising steps up to its total', async () => {
      const seen: (readonly [number, number])[] = [];
      const request = ask(`Repeat: ${'some words to read '.repeat(20)}`, { maxTokens: 1 });
      await Array.fromAsync(model.run(request, never, (done, total) => seen.push([done, total])));
      for (const [at, [done, total]] of seen.entries()) {
        assert.ok(done <= total && done >= (seen[at - 1]?.[0] ?? 0), `${done} of ${total} at step ${at}`);
      }
      const [done, total] = seen.at(-1) ?? assert.fail('nothing was reported');
      assert.ok(total > 20 && done === total, `the last word was ${done} of ${total}`);
    });

    test('count grows with the prompt and with tools', async () => {
      const tokens = async (request: EngineRequest): Promise<number> => (await model.count(request, never)).tokens;
      const short = await tokens(ask('Hello'));
      assert.ok(short > 0);
      assert.ok((await tokens(ask('Hello there, how are you today?'))) > short);
      if (model.info.caps.includes('tools')) assert.ok((await tokens(ask('Hello', { tools: [weather] }))) > short);
    });

    test('a count aborted beforehand ends with the reason', async () => {
      const reason = new Error('not wanted');
      await assert.rejects(model.count(ask('Hello'), AbortSignal.abort(reason)), is(reason));
    });

    test('a run aborted beforehand ends with the reason', async () => {
      const reason = new Error('not wanted');
      await assert.rejects(collect(model, ask('Hello'), AbortSignal.abort(reason)), is(reason));
    });

    test('an abort in the middle ends the run with the reason, at once', async () => {
      const abort = new AbortController();
      const reason = new Error('the reader left');
      let abortedAt = Infinity;
      await assert.rejects(async () => {
        for await (const event of model.run(ask('Write a long story.', { maxTokens: 200 }), abort.signal, () => {})) {
          assert.notEqual(event.k, 'done', 'the answer was too short to be aborted');
          if (abort.signal.aborted) continue;
          abortedAt = performance.now();
          abort.abort(reason);
        }
      }, is(reason));
      const tookMs = performance.now() - abortedAt;
      assert.ok(tookMs <= 5 * 250, `${tookMs} ms`);
    });

    test('leaving the iteration frees the slot', async () => {
      for (let round = 0; round < model.slots + 2; round++) {
        for await (const event of model.run(ask('Hello'), never, () => {})) if (event.k !== 'done') break;
      }
      assertGrammar(await collect(model, ask('Hello')));
    });

    test('as many runs as there are slots go on at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: model.slots }, (_, at) => collect(model, ask(`Say ${at}`))),
      );
      for (const events of answers) assertGrammar(events);
    });

    test('a prompt beyond the context is refused as too_long', async () => {
      const request = ask('word '.repeat(model.info.ctx + 1));
      await assert.rejects(
        collect(model, request),
        (error) => error instanceof EngineError && error.code === 'too_long',
      );
    });

    test('rates are measured once something ran', async () => {
      await collect(model, ask('Count from one to ten in words.'));
      const { prefill, decode } = model.rates();
      for (const rate of [prefill, decode]) assert.ok(rate === undefined || (Number.isFinite(rate) && rate > 0));
      assert.ok(decode !== undefined);
    });
  });
}
