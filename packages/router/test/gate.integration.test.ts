import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';

import { startTiers, type Tiers } from '@lfo/testing/both-tiers.ts';
import { hello, startRig, subjects, textOf } from '@lfo/testing/faults/subject.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { answerWith, deltaFrame } from '@lfo/testing/upstream/openai-answer.ts';

const fromCloud = answerWith({ deltas: ['From', ' the', ' cloud'] });

const bothTiers = (t: TestContext, settings = ''): Promise<Tiers> => startTiers(t, { cloud: fromCloud, settings });

const content = (answer: { json: unknown }): unknown => at(answer.json, 'choices', 0, 'message', 'content');
const metadata = (answer: { json: unknown }, ...path: (string | number)[]): unknown =>
  at(answer.json, 'lfo_metadata', ...path);

/** A delta with the natural logs of its tokens. */
const chunk = (delta: object, logprobs: readonly number[] = [], finish: string | null = null): string =>
  deltaFrame(
    delta,
    logprobs.map((logprob) => ({ token: 'x', logprob })),
    finish,
  );
const text = (piece: string, logprob = -0.01): string => chunk({ content: piece }, [logprob]);
const call = (index: number, name: string, json: string): string =>
  chunk({ tool_calls: [{ index, id: `c${index}`, type: 'function', function: { name, arguments: json } }] });
const end = (finish = 'stop'): string => `${chunk({}, [], finish)}data: [DONE]\n\n`;

/** Streams the parts; a number is a pause in milliseconds. */
const plays =
  (...parts: readonly (string | number)[]): Script =>
  async (exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    for (const part of parts) {
      if (typeof part === 'number') await exchange.pause(part);
      else await exchange.write(part);
    }
    exchange.finish();
  };

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const asksWeather = asking('Weather in Paris?', { tools: [weather] });
/** With a threshold that a text passes although a tool would fit. */
const easily = (body: ReturnType<typeof asking>) => ({ ...body, metadata: { confidence_threshold: '0.005' } });

describe('nothing is released unjudged', () => {
  test('an undeclared tool whose long call has its scores first never reaches the client', async (t) => {
    const { router, local } = await bothTiers(t);
    const scores = Array.from({ length: 60 }, () => chunk({}, [-0.01]));
    local.always(plays(...scores, call(0, 'delete_everything', '{"path":"/"}'), end('tool_calls')));
    for (const answer of [await router.stream(asksWeather), await router.chat(asksWeather)]) {
      assert.equal(answer.headers['x-lfo-route'], 'cloud');
      assert.equal(answer.headers['x-lfo-reason'], 'unknown_tool');
      assert.doesNotMatch(answer.text, /delete_everything/);
    }
  });

  test('a bad second call stops the first', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always(plays(call(0, 'get_weather', '{"city":"Paris"}'), call(1, 'get_weather', '{"city":7}'), end()));
    const answer = await router.stream(asksWeather);
    assert.equal(answer.headers['x-lfo-reason'], 'tool_call_invalid');
    assert.doesNotMatch(answer.text, /get_weather/);
  });

  test('a bad call after released text ends the stream with an error frame and the text stands', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    const words = Array.from({ length: 20 }, () => text('word '));
    local.always(plays(...words, 50, call(0, 'delete_everything', '{}'), end('tool_calls')));
    const answer = await router.stream(easily(asksWeather));
    assert.equal(textOf(answer), 'word '.repeat(20));
    assert.doesNotMatch(answer.text, /delete_everything/);
    assert.equal(at(answer.chunks.at(-1), 'error', 'code'), 'tool_call_refused');
    assert.equal(answer.isDone, false);
    assert.equal(cloud.requests.length, 0);
    const fleet = await router.request('GET', '/dashboard/api/fleet');
    assert.doesNotMatch(fleet.text, /"breaker":"open"/);
  });

  test('a good call after released text leaves whole', async (t) => {
    const { router, local } = await bothTiers(t);
    const words = Array.from({ length: 20 }, () => text('word '));
    local.always(plays(...words, call(0, 'get_weather', '{"city":"Paris"}'), end('tool_calls')));
    const answer = await router.stream(easily(asksWeather));
    assert.equal(answer.headers['x-lfo-route'], 'local');
    assert.match(answer.text, /get_weather/);
    assert.equal(answer.isDone, true);
  });

  test('a call that is silent for too long escalates, whatever there is of it', async (t) => {
    const { router, local } = await bothTiers(t, 'gate: { max_hold_ms: 200 }');
    local.always(plays(call(0, 'get_weather', '{"city":"Pa'), 60_000));
    const answer = await router.stream(asksWeather);
    assert.equal(answer.headers['x-lfo-reason'], 'hold_limit');
    assert.equal(textOf(answer), 'From the cloud');
  });
});

describe('JSON is judged at its end', () => {
  const pieces = ['{"names":[', ...Array.from({ length: 80 }, () => '"Ada",'), '"Bob"]}'];
  for (const stream of [false, true]) {
    test(`an object of 80 tokens stays local, ${stream ? 'streamed' : 'whole'}`, async (t) => {
      const { router, local, cloud } = await bothTiers(t);
      local.always(plays(...pieces.map((piece) => text(piece)), end()));
      const body = asking('Names as JSON, please.', { response_format: { type: 'json_object' } });
      const answer = stream ? await router.stream(body) : await router.chat(body);
      assert.equal(answer.headers['x-lfo-route'], 'local');
      assert.equal(answer.headers['x-lfo-reason'], 'confident');
      assert.equal(cloud.requests.length, 0);
    });
  }

  test('an object that is none at its end goes to the cloud', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always(plays(...pieces.slice(0, -1).map((piece) => text(piece)), text('oops'), end()));
    const answer = await router.stream(asking('Names.', { response_format: { type: 'json_object' } }));
    assert.equal(answer.headers['x-lfo-reason'], 'schema_violation');
  });

  test('an object beyond gate.max_format_bytes goes to the cloud', async (t) => {
    const { router, local } = await bothTiers(t, 'gate: { max_format_bytes: 100 }');
    local.always(plays(...pieces.map((piece) => text(piece)), end()));
    const answer = await router.stream(asking('Names.', { response_format: { type: 'json_object' } }));
    assert.equal(answer.headers['x-lfo-reason'], 'hold_limit');
  });
});

describe('no event is lost', () => {
  test('text of an upstream that falls silent beyond the limit and speaks again arrives whole', async (t) => {
    const { router, local } = await bothTiers(t, 'gate: { max_hold_ms: 100 }');
    local.always(plays(text('A'), 400, chunk({ content: 'B' }), text('C'), end()));
    const answer = await router.stream(asking('Spell.'));
    assert.equal(textOf(answer), 'ABC');
    assert.equal(answer.headers['x-lfo-route'], 'local');
  });
});

describe('a unary answer commits at its end', () => {
  test('cut after the first words it is answered by the next tier', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always(async (exchange) => {
      exchange.head(200, { 'content-type': 'text/event-stream' });
      for (let word = 0; word < 30; word++) await exchange.write(text('word '));
      exchange.hangUp();
    });
    const answer = await router.chat(asking('Hello'));
    assert.equal(answer.status, 200);
    assert.equal(content(answer), 'From the cloud');
    assert.equal(metadata(answer, 'attempts', 0, 'error', 'code'), 'upstream_cut');
  });

  test('text that turns into a bad call late is not given', async (t) => {
    const { router, local } = await bothTiers(t);
    const words = Array.from({ length: 20 }, () => text('word '));
    local.always(plays(...words, call(0, 'delete_everything', '{}'), end('tool_calls')));
    assert.equal(content(await router.chat(asksWeather)), 'From the cloud');
  });
});

describe('time that is over', () => {
  test('a deadline that runs out at the cloud hands over the held local answer, marked degraded', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-0.1, -0.1, -1.9] }));
    cloud.always((exchange) => exchange.silence());
    for (const stream of [false, true]) {
      const body = asking('Capital of Australia? At length, please.', { response_format: { type: 'json_object' } });
      const headers = { 'x-lfo-deadline-ms': '800' };
      const answer = stream ? await router.stream(body, headers) : await router.chat(body, headers);
      assert.equal(answer.status, 200);
      assert.match(answer.text, /"degraded":true/);
      assert.equal(answer.headers['x-lfo-route'], 'local');
    }
    assert.equal(cloud.requests.length, 2);
  });

  test('the total time of a held answer is the next attempt’s', async (t) => {
    const { router, local } = await bothTiers(t, 'budgets: { local: { total_ms: 300 } }');
    local.always(plays(...Array.from({ length: 100 }, () => [text('{'), 50]).flat()));
    for (const stream of [false, true]) {
      const body = asking('Hello', { response_format: { type: 'json_object' } });
      const answer = stream ? await router.stream(body) : await router.chat(body);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['x-lfo-route'], 'cloud');
    }
  });

  test('without another attempt the total time ends the answer with length and what there is', async (t) => {
    const { router, local } = await bothTiers(t, 'budgets: { local: { total_ms: 300 } }');
    local.always(plays(...Array.from({ length: 100 }, () => [text('word '), 50]).flat()));
    const answer = await router.chat(asking('Hello', { model: 'lfo-local' }));
    assert.equal(answer.status, 200);
    assert.equal(at(answer.json, 'choices', 0, 'finish_reason'), 'length');
    assert.match(String(content(answer)), /^(word )+$/);
    assert.equal(metadata(answer, 'degraded'), false);
  });
});

describe('a finished stream', () => {
  for (const subject of subjects) {
    test(`fifty in a row use one connection, ${subject.name}`, async (t) => {
      const { router, play, upstream, lastCall } = await startRig(t, subject);
      play(plays(subject.text('Hi'), subject.end, 5, ': the end comes late\n\n'));
      for (let turn = 0; turn < 50; turn++) {
        const answer = await router.stream(hello(subject));
        assert.equal(textOf(answer), 'Hi');
        await lastCall().ended;
      }
      const posts = upstream.exchanges.filter(({ request }) => request.method === 'POST');
      // What else is asked beside the first stream (models, health) has one of its own.
      const others = upstream.exchanges.length > posts.length ? 1 : 0;
      const connections = new Set(posts.map(({ request }) => request.connection));
      assert.ok(connections.size <= 1 + others, `${connections.size} connections`);
      assert.ok(posts.every((exchange) => exchange.end === 'answered'));
    });
  }
});

describe('who is asked next', () => {
  async function threeLocal(t: TestContext): Promise<{ router: TestRouter; locals: readonly ScriptedUpstream[] }> {
    const locals = await Promise.all([0, 1, 2].map(() => ScriptedUpstream.start(answerWith({ deltas: ['Hello'] }))));
    t.after(() => Promise.all(locals.map((upstream) => upstream.close())));
    const lines = locals.map(
      ({ origin }, index) =>
        `  - { name: near${index}, kind: openai-compatible, tier: local, base_url: "${origin}/v1", models: [m${index}] }`,
    );
    const yaml = `retry: { budget_ratio: 0 }\nbackends:\n${lines.join('\n')}\n`;
    return { router: await startRouter(t, { yaml }), locals };
  }
  const rejects: Script = (exchange) => exchange.json(413, { error: { message: 'not me' } });
  const breaks: Script = (exchange) => exchange.json(500, { error: { message: 'broken' } });

  test('what one backend rejects is answered by another of its tier, and counts against nobody', async (t) => {
    const { router, locals } = await threeLocal(t);
    for (const upstream of locals.slice(0, 2)) upstream.always(rejects);
    for (let turn = 0; turn < 12; turn++) {
      const answer = await router.chat(asking('Hello', { model: 'lfo-local' }));
      assert.deepEqual([answer.status, content(answer)], [200, 'Hello']);
    }
    const fleet = await router.request('GET', '/dashboard/api/fleet');
    assert.doesNotMatch(fleet.text, /"breaker":"(open|half-open)"/);
  });

  test('what all reject has the status of the last', async (t) => {
    const { router, locals } = await threeLocal(t);
    for (const upstream of locals) upstream.always(rejects);
    const answer = await router.chat(asking('Hello', { model: 'lfo-local' }));
    assert.equal(answer.status, 413);
    assert.deepEqual(
      locals.map(({ chats }) => chats.length),
      [1, 1, 1],
    );
  });

  test('a healthy peer answers though no retry is allowed at all', async (t) => {
    const { router, locals } = await threeLocal(t);
    for (const upstream of locals.slice(0, 2)) upstream.always(breaks);
    for (let turn = 0; turn < 20; turn++) {
      const answer = await router.chat(asking('Hello', { model: 'lfo-local' }));
      assert.deepEqual([answer.status, content(answer)], [200, 'Hello']);
    }
  });
});
