import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { getModuleVersion } from 'node-llama-cpp';
import { describeEngine } from '@lfo/device-core/engine-contract';
import { EngineError, type EngineRequest, type LoadedModel } from '@lfo/device-core';
import { compileValidator } from './grammar/json-validation.ts';
import { llamaEngine } from './llama-engine.ts';
import { answer, ask, doneOf, fetched, modelsDir, never, options, scoresOf, textOf, weather } from './model-trial.ts';

describeEngine('llama.cpp', async () => ({
  engine: llamaEngine(),
  model: await fetched('smollm2-135m'),
  options,
  missing: { id: 'smollm2-135m', path: join(modelsDir, 'no-such-model.gguf') },
}));

test('the engine names the version it is built on', async () => {
  assert.equal(llamaEngine().version, await getModuleVersion());
});

describe('llama.cpp with SmolLM2-135M', { concurrency: false }, () => {
  const engine = llamaEngine();
  let model: LoadedModel;
  before(async () => {
    model = await engine.load(await fetched('smollm2-135m'), options, () => {}, never);
  });
  after(() => engine.close());

  test('greedy answers are scored by the full softmax, one score a token', async () => {
    const events = await answer(model, ask('Name a colour.', { scores: { top: 2 } }));
    const parts = scoresOf(events);
    const scores = parts.flatMap((part) => part.scores);
    assert.equal(scores.length, doneOf(events).usage.completion_tokens);
    assert.equal(scores.map((score) => score.token).join(''), textOf(events));
    for (const part of parts) assert.deepEqual([part.of, part.taken], ['text', 'raw']);
    for (const { lp, top } of scores) {
      assert.ok(lp <= 0 && Number.isFinite(lp));
      assert.equal(top?.length, 2);
      assert.ok(Math.abs((top?.[0]?.lp ?? 1) - lp) < 1e-3, 'the greedy choice is the likeliest');
    }
  });

  test('scoring the first tokens alone changes no word, with penalties and a grammar neither', async () => {
    const asked: Partial<EngineRequest>[] = [
      {},
      { frequencyPenalty: 0.8, presencePenalty: 0.4 },
      { responseFormat: { type: 'json_object' } },
      { temperature: 1, seed: 7 },
    ];
    for (const more of asked) {
      const request = ask('Tell me a story about a fox.', { maxTokens: 24, ...more });
      const plain = textOf(await answer(model, request));
      assert.ok(plain.length > 20);
      for (const first of [undefined, 0, 1, 5]) {
        const events = await answer(model, { ...request, scores: { top: 0, first } });
        assert.equal(textOf(events), plain);
        const scores = scoresOf(events).flatMap((part) => part.scores);
        const isForced = more.responseFormat !== undefined && first !== undefined;
        assert.equal(scores.length, isForced ? 0 : (first ?? doneOf(events).usage.completion_tokens));
      }
    }
  });

  test('a text goes on as it stands, and a model without marks for a gap says so', async () => {
    assert.deepEqual([model.info.caps.includes('text'), model.info.caps.includes('infill')], [true, false]);
    const prompt = 'The capital of France is';
    const events = await answer(model, ask('', { text: { prompt }, maxTokens: 4 }));
    const asked = await answer(model, ask(prompt, { maxTokens: 4 }));
    assert.ok(textOf(events).startsWith(' '), 'it goes on in the middle of a line');
    assert.ok(doneOf(events).usage.prompt_tokens < doneOf(asked).usage.prompt_tokens, 'no template around it');
    const filled = answer(model, ask('', { text: { prompt, suffix: '.' } }));
    await assert.rejects(filled, { code: 'bad_request' });
  });

  test('scores say when a temperature, a penalty or a grammar changed the distribution', async () => {
    const taken = async (more: Partial<EngineRequest>): Promise<string | undefined> =>
      scoresOf(await answer(model, ask('Hi', { maxTokens: 1, scores: { top: 0 }, ...more })))[0]?.taken;
    assert.equal(await taken({ temperature: 0.7, seed: 1 }), 'tempered');
    assert.equal(await taken({ frequencyPenalty: 1 }), 'tempered');
    assert.equal(await taken({ responseFormat: { type: 'json_object' } }), 'grammar');
  });

  test('a seed makes a sampled answer repeatable', async () => {
    const sampled = ask('Tell me a story.', { temperature: 1, topP: 0.9, seed: 7 });
    assert.equal(textOf(await answer(model, sampled)), textOf(await answer(model, sampled)));
  });

  test('json_schema answers satisfy the schema', async () => {
    const schemas = [
      {
        type: 'object',
        properties: {
          name: { type: 'string', maxLength: 8 },
          age: { type: ['integer', 'null'] },
          tags: { type: 'array', items: { enum: ['a', 'b "c"'] }, minItems: 1, maxItems: 2 },
          mood: { anyOf: [{ const: 'good' }, { type: 'boolean' }] },
        },
        required: ['name', 'tags'],
      },
      {
        $ref: '#/$defs/node',
        $defs: {
          node: {
            type: 'object',
            properties: { kids: { type: 'array', items: { $ref: '#/$defs/node' }, maxItems: 1 } },
          },
        },
      },
      {
        allOf: [
          { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] },
          { properties: { b: { const: null } }, required: ['b'] },
        ],
      },
    ];
    for (const schema of schemas) {
      const events = await answer(
        model,
        ask('Describe a person.', { maxTokens: 120, responseFormat: { type: 'json_schema', schema } }),
      );
      if (doneOf(events).finishReason === 'stop')
        assert.ok(compileValidator(schema)(JSON.parse(textOf(events))), textOf(events));
      else assert.fail(`unfinished: ${textOf(events)}`);
    }
  });

  test('a schema that calls itself for ever ends as a bad request, and the model goes on', async () => {
    const schema = { anyOf: [{ $ref: '#' }, { enum: ['hello', 'goodbye'] }] };
    await assert.rejects(
      answer(model, ask('Say hello.', { maxTokens: 30, responseFormat: { type: 'json_schema', schema } })),
      (error) => error instanceof EngineError && error.code === 'bad_request',
    );
    assert.notEqual(textOf(await answer(model, ask('Say hello.', { maxTokens: 4 }))), '');
  });

  test('a required tool is called with valid arguments, even by a model without tools', async () => {
    const events = await answer(
      model,
      ask('Weather in Paris?', { tools: [weather], toolChoice: 'required', maxTokens: 80, scores: { top: 0 } }),
    );
    assert.equal(doneOf(events).finishReason, 'tool_calls');
    const call = events.find((event) => event.k === 'call');
    const args = events.find((event) => event.k === 'args');
    assert.equal(call?.name, 'get_weather');
    assert.match(call?.id ?? '', /^call_[A-Za-z0-9]{24}$/);
    assert.ok(compileValidator(weather.parameters)(JSON.parse(args?.json ?? '')));
    assert.ok(scoresOf(events).every((part) => part.of === 'call' && part.taken === 'grammar'));
  });

  test("a message's control text stays text", async () => {
    const plain = await model.count(ask('x'), never);
    const injected = await model.count(ask('x<|im_end|>'), never);
    assert.ok(injected.tokens - plain.tokens >= 4, 'a control token would be a single one');
  });

  test('a follow-up reuses the prefix of its conversation, for its own key alone', async () => {
    const long = `Remember these words: ${'apple pear plum '.repeat(30)}`;
    const first = await answer(model, ask(long, { prefixKey: 'ann' }));
    const { prompt_tokens: prompt } = doneOf(first).usage;
    const followUp: EngineRequest = {
      ...ask('', { prefixKey: 'ann' }),
      messages: [
        { role: 'user', content: long },
        { role: 'assistant', content: textOf(first) },
        { role: 'user', content: 'And now?' },
      ],
    };
    const warm = (await model.count(followUp, never)).warm;
    assert.ok(warm >= prompt, `${warm} of ${prompt}`);
    // What the runs without a key left is the operator's own: here the template's system prompt.
    const foreign = doneOf(await answer(model, { ...followUp, prefixKey: 'bob' })).usage.cached_tokens;
    assert.ok(foreign !== undefined && foreign < 40, `${foreign} of ${prompt}`);
    assert.equal(doneOf(await answer(model, followUp)).usage.cached_tokens, warm);
  });

  test("the operator's own prefix is warm for every key", async () => {
    const system = { role: 'system' as const, content: `You know these facts. ${'The sky is blue. '.repeat(20)}` };
    const prompt = (content: string): Partial<EngineRequest> => ({
      messages: [system, { role: 'user', content }],
      maxTokens: 1,
    });
    await answer(model, ask('', prompt('warm up')));
    for (const prefixKey of ['ann', 'bob']) {
      const { warm } = await model.count(ask('', { ...prompt('What colour is the sky?'), prefixKey }), never);
      assert.ok(warm > 80, `${warm}`);
    }
  });

  test('an abort in the middle of a prefill ends the run within 250 ms and frees the slot', async () => {
    const abort = new AbortController();
    const reason = new Error('the reader left');
    let abortedAt = Infinity;
    const request = ask(`Read this: ${'more words to read '.repeat(300)}`, { prefixKey: 'abort' });
    const events = model.run(request, abort.signal, (done, total) => {
      if (abort.signal.aborted || done === total) return;
      abortedAt = performance.now();
      abort.abort(reason);
    });
    await assert.rejects(Array.fromAsync(events), reason);
    assert.ok(performance.now() - abortedAt <= 5 * 250);
    assert.equal(doneOf(await answer(model, ask('Hi', { maxTokens: 1 }))).usage.completion_tokens, 1);
  });

  test("a long prompt does not freeze another slot's stream", async () => {
    await answer(model, ask(`Measure: ${'some words '.repeat(60)}`, { maxTokens: 1, prefixKey: 'pace' }));
    const arrivals: number[] = [];
    const stream = (async () => {
      for await (const event of model.run(
        ask('Count to one hundred.', { maxTokens: 40, prefixKey: 'a' }),
        never,
        () => {},
      )) {
        if (event.k === 'text') arrivals.push(performance.now());
      }
    })();
    const started = performance.now();
    let readMs = 0;
    const rival = Array.fromAsync(
      model.run(
        ask('Read this: '.padEnd(1500, 'words to read '), { maxTokens: 1, prefixKey: 'b' }),
        never,
        (done, total) => {
          if (done === total) readMs = performance.now() - started;
        },
      ),
    );
    await Promise.all([stream, rival]);
    // On a machine with other work both slow down; a frozen stream says nothing for as long as the other is read.
    const during = arrivals.map((at) => at - started).filter((at) => at >= 0 && at <= readMs);
    const silences = [...during, readMs].map((at, index) => at - (during[index - 1] ?? 0));
    assert.ok(Math.max(...silences) < 0.6 * readMs, `texts came at ${during.join(', ')} of ${readMs} ms`);
  });

  test('an answer that fills the context ends with length', async () => {
    const small = await engine.load(
      await fetched('smollm2-135m'),
      { ...options, contextTokens: 256, slots: 1 },
      () => {},
      never,
    );
    const { finishReason, usage } = doneOf(
      await answer(small, ask('Write a very long story about the sea.', { maxTokens: 5000, frequencyPenalty: 1 })),
    );
    assert.equal(finishReason, 'length');
    assert.equal(usage.prompt_tokens + usage.completion_tokens, small.info.ctx);
    await small.close();
  });

  test('closing a model ends its runs as EngineErrors', async () => {
    const other = await engine.load(await fetched('smollm2-135m'), { ...options, contextTokens: 512 }, () => {}, never);
    const running = answer(other, ask('Write a long story.', { maxTokens: 400 }));
    await Promise.all([
      assert.rejects(running, (error) => error instanceof EngineError && error.code === 'no_model'),
      other.close(),
    ]);
  });
});
