import assert from 'node:assert/strict';

import { refusal } from '../fake-gemini.ts';
import { at } from '../sse.ts';
import type { Script } from '../upstream/exchange.ts';
import { faults } from '../upstream/faults.ts';
import { frame, openaiChunks } from '../upstream/openai-answer.ts';
import { faultTest } from './fault-test.ts';
import {
  assertCleanError,
  assertCut,
  cloudServer,
  eventStream,
  geminiCloud,
  hello,
  localServer,
  says,
  startBoth,
  startRig,
  subjects,
  textOf,
} from './subject.ts';

const playFault =
  (name: string): Script =>
  async (exchange) => {
    const script = faults[name];
    assert.ok(script, name);
    await script(exchange);
  };

for (const subject of subjects) {
  faultTest(
    { row: 21, what: `${subject.name}: what goes out is well-formed`, bound: 'both kinds of answer' },
    async (t) => {
      const { router, play } = await startRig(t, subject);
      play((exchange) => {
        const isStream = at(exchange.request.json, 'stream') === true || exchange.request.path.includes('stream');
        const text = isStream
          ? subject.text('a\uD83D!') + subject.text('BAD') + subject.end
          : JSON.stringify(subject.whole('a\uD83D!BAD'));
        const bytes = Buffer.from(text);
        bytes.set([0xff, 0xfe, 0xc3], bytes.indexOf('BAD'));
        exchange.head(200, isStream ? eventStream : { 'content-type': 'application/json' });
        void exchange.write(bytes);
        exchange.finish();
      });
      for (const answer of [await router.chat(hello(subject)), await router.stream(hello(subject))]) {
        assert.equal(answer.status, 200, answer.text);
        const text = textOf(answer);
        assert.ok(text.isWellFormed() && text.startsWith('a\uFFFD!'), JSON.stringify(text));
      }
    },
  );

  faultTest(
    {
      row: 24,
      what: `${subject.name}: an empty answer is an error, and no fault of the backend's health`,
      bound: '2 calls; breaker closed',
    },
    async (t) => {
      const { router, play, calls } = await startRig(t, subject, { yaml: 'breaker: { failures: 1 }' });
      play(says(subject, ''));
      for (const ask of [router.chat, router.stream]) {
        const before = calls();
        const answer = await ask(hello(subject));
        assert.equal(answer.status, 502);
        assertCleanError(answer.json, 'upstream_unusable_answer');
        assert.ok(calls() - before <= 2);
      }
      play(says(subject, 'well again'));
      assert.equal(textOf(await router.chat(hello(subject))), 'well again');
    },
  );
}

const tools = [
  {
    type: 'function',
    function: { name: 'add', parameters: { type: 'object', properties: { a: { type: 'number' } } } },
  },
];
const callChunks = (argumentText: string, finish?: string): string =>
  openaiChunks({
    deltas: [],
    toolCalls: [{ id: 'c1', name: 'add', argumentDeltas: [argumentText] }],
    ...(finish && { finishReason: finish }),
  })
    .slice(0, finish === undefined ? -2 : undefined)
    .map(frame)
    .join('');

for (const subject of [localServer, cloudServer]) {
  faultTest(
    {
      row: 22,
      what: `${subject.name}: arguments cut off are never delivered as complete`,
      bound: 'no finish_reason tool_calls',
    },
    async (t) => {
      const { router, play } = await startRig(t, subject, { yaml: 'breaker: { failures: 100 }' });
      for (const stream of [callChunks('{"a": 1'), `${callChunks('{"a": 1', 'tool_calls')}data: [DONE]\n\n`]) {
        play((exchange) => {
          exchange.head(200, eventStream);
          exchange.finish(stream);
        });
        const asked = { ...hello(subject), tools };
        const streamed = await router.stream(asked);
        if (streamed.status === 200) assertCut(streamed, String(at(streamed.chunks.at(-1), 'error', 'code')));
        else assert.equal(streamed.status, 502);
        if (subject === localServer) assert.equal((await router.chat(asked)).status, 502);
      }
    },
  );

  faultTest(
    { row: 24, what: `${subject.name}: a filtered answer is told as one, and local stays local`, bound: '1 call' },
    async (t) => {
      const { router, play, calls } = await startRig(t, subject);
      play(playFault('fault-content-filter'));
      const answer = await router.chat(hello(subject));
      assert.equal(at(answer.json, 'choices', 0, 'finish_reason'), 'content_filter');
      assert.equal(calls(), 1);
    },
  );
}

faultTest(
  { row: 24, what: 'an empty or broken answer in local mode is not escalated', bound: '0 calls of the cloud' },
  async (t) => {
    const { router, local, cloud } = await startBoth(t);
    for (const script of [
      says(localServer, ''),
      playFault('fault-truncated-json'),
      playFault('fault-content-filter'),
    ]) {
      local.play(script);
      await router.chat(hello(localServer));
    }
    assert.equal(cloud.calls(), 0);
  },
);

faultTest(
  { row: 24, what: 'gemini: SAFETY, RECITATION and a blocked prompt are content_filter', bound: '1 call each' },
  async (t) => {
    const { router, play, calls } = await startRig(t, geminiCloud);
    const answers = [
      { candidates: [{ finishReason: 'SAFETY' }] },
      { candidates: [{ content: { parts: [{ text: 'part' }] }, finishReason: 'RECITATION' }] },
      { promptFeedback: { blockReason: 'PROHIBITED_CONTENT' } },
    ];
    for (const [index, body] of answers.entries()) {
      play((exchange) => exchange.json(200, body));
      const answer = await router.chat(hello(geminiCloud));
      assert.equal(at(answer.json, 'choices', 0, 'finish_reason'), 'content_filter', answer.text);
      assert.equal(calls(), index + 1);
    }
  },
);

faultTest(
  { row: 24, what: 'gemini: a malformed call is asked for again, then a clean error', bound: '2 calls' },
  async (t) => {
    const { router, play, calls } = await startRig(t, geminiCloud, { yaml: 'breaker: { failures: 1 }' });
    play((exchange) => exchange.json(200, { candidates: [{ finishReason: 'MALFORMED_FUNCTION_CALL' }] }));
    const answer = await router.chat(hello(geminiCloud));
    assert.equal(answer.status, 502);
    assertCleanError(answer.json, 'malformed_function_call');
    assert.equal(calls(), 2);
    play((exchange) => exchange.json(400, refusal(400, 'INVALID_ARGUMENT', 'no').body));
    assert.equal((await router.chat(hello(geminiCloud))).status, 400, 'the breaker is closed');
  },
);

const absurd = [
  'null',
  '{"prompt_tokens":-3,"completion_tokens":"many"}',
  '{"prompt_tokens":1e400,"completion_tokens":1e400}',
  '{}',
  '[]',
];
faultTest(
  { row: 25, what: 'counts are whole numbers whatever a backend says, and estimates are marked', bound: 'never NaN' },
  async (t) => {
    const { router, play } = await startRig(t, cloudServer);
    for (const usage of absurd) {
      play((exchange) => {
        exchange.head(200, { 'content-type': 'application/json' });
        exchange.finish(JSON.stringify(cloudServer.whole('four')).replace(/}$/, `,"usage":${usage}}`));
      });
      assertSaneUsage(await router.chat(hello(cloudServer)), usage);
    }
    for (const count of ['-3', '1e400', '"many"', 'null']) {
      const google = await startRig(t, geminiCloud);
      google.play((exchange) => {
        exchange.head(200, { 'content-type': 'application/json' });
        const counts = `{"promptTokenCount":${count},"candidatesTokenCount":${count}}`;
        exchange.finish(JSON.stringify(geminiCloud.whole('four')).replace(/}$/, `,"usageMetadata":${counts}}`));
      });
      assertSaneUsage(await google.router.chat(hello(geminiCloud)), count);
    }
  },
);

function assertSaneUsage(answer: { readonly json: unknown; readonly text: string }, what: string): void {
  for (const name of ['prompt_tokens', 'completion_tokens', 'total_tokens']) {
    const count = at(answer.json, 'usage', name);
    assert.ok(Number.isSafeInteger(count) && Number(count) > 0, `${what}: ${name} is ${String(count)}: ${answer.text}`);
  }
  assert.equal(at(answer.json, 'lfo_metadata', 'usage_estimated'), true, what);
}
