import assert from 'node:assert/strict';

import { asking } from '../router.ts';
import { at } from '../sse.ts';
import type { Script } from '../upstream/exchange.ts';
import { faultTest } from './fault-test.ts';
import { begins, eventStream, hello, localServer, startBoth, startRig, subjects, textOf } from './subject.ts';

const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const call = (index: number, city: string): string =>
  chunk({
    tool_calls: [
      { index, id: `c${index}`, type: 'function', function: { name: 'get_weather', arguments: `{"city":${city}}` } },
    ],
  });

/** Streams the parts; a number is a pause in milliseconds. */
const plays =
  (...parts: readonly (string | number)[]): Script =>
  async (exchange) => {
    exchange.head(200, eventStream);
    for (const part of parts) {
      if (typeof part === 'number') await exchange.pause(part);
      else await exchange.write(part);
    }
    exchange.finish();
  };
const done = `${chunk({}, 'stop')}data: [DONE]\n\n`;
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const asksWeather = asking('Weather in Paris and in Rome?', {
  tools: [{ type: 'function', function: { name: 'get_weather', parameters } }],
});
/** As small as they can be. */
const smallest = 'gate: { max_hold_tokens: 1, max_hold_ms: 500, max_format_ms: 20000 }';

faultTest(
  { row: 57, what: 'JSON beyond every limit of text, paused in the middle, is judged at its end', bound: 'whole' },
  async (t) => {
    const { router, local } = await startBoth(t, smallest);
    const pieces = ['{"names":[', ...Array.from({ length: 60 }, () => '"Ada",')];
    local.play(plays(...pieces.map((content) => chunk({ content })), 700, chunk({ content: '"Bob"]}' }), done));
    for (const ask of [router.stream, router.chat]) {
      const answer = await ask(asking('Names', { response_format: { type: 'json_object' } }));
      assert.equal(answer.headers['x-lfo-route'], 'local');
    }
  },
);

faultTest(
  { row: 57, what: 'a call paused for too long escalates, nothing of it leaves', bound: 'max_hold_ms' },
  async (t) => {
    const { router, local } = await startBoth(t, smallest);
    local.play(plays(call(0, '"Paris"'), 60_000, done));
    const answer = await router.stream(asksWeather);
    assert.equal(answer.headers['x-lfo-reason'], 'hold_limit');
    assert.equal(textOf(answer), 'from the cloud');
  },
);

faultTest(
  { row: 57, what: 'text of a backend that pauses beyond the limit arrives whole and in order', bound: 'whole' },
  async (t) => {
    const { router, local } = await startBoth(t, 'gate: { max_hold_ms: 100 }');
    const pieces = ['A', 'B', 'C', 'D'].flatMap((content) => [chunk({ content }), 300]);
    local.play(plays(...pieces, done));
    assert.equal(textOf(await router.stream(asking('Spell'))), 'ABCD');
  },
);

for (const subject of subjects) {
  faultTest({ row: 58, what: `${subject.name}: asked again, one whole answer`, bound: '2 calls' }, async (t) => {
    const { router, play, calls } = await startRig(t, subject);
    // A cloud gives what is not streamed in one piece.
    const isStreamed = subject === localServer;
    const cut: Script = isStreamed
      ? begins(subject, 'Half of it', (exchange) => exchange.hangUp())
      : async (exchange) => {
          exchange.head(200, { 'content-type': 'application/json', 'content-length': '1000' });
          await exchange.write('{"model":"m","choices":[{"message":{"content":"Half');
          exchange.hangUp();
        };
    play(cut, (exchange) => {
      if (!isStreamed) return exchange.json(200, subject.whole('All of it'));
      exchange.head(200, eventStream);
      exchange.finish(subject.text('All of it') + subject.end);
    });
    const answer = await router.chat(hello(subject));
    assert.equal(answer.status, 200);
    assert.equal(at(answer.json, 'choices', 0, 'message', 'content'), 'All of it');
    assert.equal(calls(), 2);
  });
}

faultTest({ row: 58, what: 'auto: cut after thirty words, the cloud answers instead', bound: '1 call' }, async (t) => {
  const { router, local } = await startBoth(t);
  local.play(begins(localServer, 'word '.repeat(30), (exchange) => exchange.reset()));
  const answer = await router.chat(asking('Hello'));
  assert.equal(at(answer.json, 'choices', 0, 'message', 'content'), 'from the cloud');
  assert.equal(at(answer.json, 'lfo_metadata', 'attempts', 0, 'error', 'code'), 'upstream_cut');
  assert.equal(local.calls(), 1);
});

for (const [which, calls] of [
  ['second', [call(0, '"Paris"'), call(1, '7')]],
  ['third', [call(0, '"Paris"'), call(1, '"Rome"'), call(2, '"Paris"')]],
] as const) {
  faultTest({ row: 67, what: `a bad ${which} call stops those before it`, bound: 'nothing leaves' }, async (t) => {
    const { router, local } = await startBoth(t, smallest);
    local.play(plays(...calls, done));
    for (const ask of [router.stream, router.chat]) {
      const answer = await ask(asksWeather);
      assert.equal(answer.headers['x-lfo-reason'], 'tool_call_invalid');
      assert.doesNotMatch(answer.text, /get_weather/);
    }
  });
}
