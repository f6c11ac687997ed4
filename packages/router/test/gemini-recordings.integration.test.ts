import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { checkFields } from '@lfo/testing/gemini/check-fields.ts';
import { geminiRecordings, type Recorded, replayIn, waysToCut } from '@lfo/testing/gemini/recordings.ts';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { z } from 'zod';

const recordings = geminiRecordings();
const skip = withoutReferenceData;
const assertFits = openApiValidator();

const call = z.object({ function: z.object({ name: z.string(), arguments: z.string() }) });
const usage = z.looseObject({ prompt_tokens: z.number(), completion_tokens: z.number(), total_tokens: z.number() });
const completion = z.object({
  choices: z.tuple([
    z.object({
      finish_reason: z.string(),
      message: z.object({
        content: z.string().nullable(),
        reasoning_content: z.string().optional(),
        tool_calls: z.array(call).optional(),
      }),
    }),
  ]),
  usage,
});
const delta = z.object({
  content: z.string().nullable().optional(),
  reasoning_content: z.string().optional(),
  tool_calls: z
    .array(
      z.object({
        index: z.number(),
        function: z.object({ name: z.string().optional(), arguments: z.string().optional() }),
      }),
    )
    .optional(),
});
const streamChunk = z.object({
  choices: z.array(z.object({ delta, finish_reason: z.string().nullable() })),
  usage: usage.nullish(),
});

/** What an answer says, however it came; ids are made anew each time. */
interface Said {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly (readonly [name: string, args: unknown])[];
  readonly finish: string;
  readonly usage: unknown;
}

test('every recorded answer passes the whole router as one result, however its bytes are cut', { skip }, async (t) => {
  const { router, upstream } = await routerBefore(t);
  for (const recorded of recordings.filter(({ status }) => status === 200)) {
    await t.test(recorded.name, async () => {
      const results: Said[] = [];
      for (const pieces of waysToCut(recorded.body)) {
        upstream.always(replayIn(pieces, recorded));
        results.push(await unary(router, recorded), await streamed(router, recorded));
      }
      for (const result of results) assert.deepEqual(result, results[0]);
      for (const { method, json } of upstream.requests) {
        if (method === 'POST') assert.equal(checkFields(json, 'GenerateContentRequest'), undefined);
      }
    });
  }
});

for (const recorded of recordings.filter(({ status }) => status !== 200)) {
  test(`the recorded error ${recorded.name} reaches the client with its status, streamed or not`, async (t) => {
    for (const pieces of waysToCut(recorded.body)) {
      const { router, upstream } = await routerBefore(t);
      upstream.always(replayIn(pieces, recorded));
      const answers = [await router.chat(bodyFor(recorded)), await router.stream(bodyFor(recorded))];
      for (const { status, json, headers } of answers) {
        assert.equal(status, recorded.status);
        assertFits('ErrorResponse', json);
        if (status === 429) assert.ok(Number(headers['retry-after']) >= 34);
      }
      assert.equal(at(answers[0]?.json, 'error', 'source'), 'upstream');
      // A limited key is left alone, so that the second client hears it from the router.
      const calls = upstream.requests.filter(({ method }) => method === 'POST');
      assert.equal(calls.length, recorded.status === 429 ? 1 : 2);
    }
  });
}

async function routerBefore(t: TestContext): Promise<{ router: TestRouter; upstream: ScriptedUpstream }> {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  const models = [...new Set(recordings.map(({ model }) => model))];
  const yaml = `backends: [{ kind: gemini, models: [${models.map((model) => `"${model}"`).join(', ')}] }]\n`;
  const env = { GEMINI_API_KEY: 'fake-key', GEMINI_BASE_URL: upstream.origin };
  return { router: await startRouter(t, { yaml, env }), upstream };
}

function bodyFor({ model }: Recorded): Record<string, unknown> {
  return asking('Go.', { model, reasoning_effort: 'low' });
}

async function unary(router: TestRouter, recorded: Recorded): Promise<Said> {
  const { status, json, text } = await router.chat(bodyFor(recorded));
  assert.equal(status, 200, text);
  assertFits('CreateChatCompletionResponse', json);
  const { choices, usage: counted } = completion.parse(json);
  const { message, finish_reason: finish } = choices[0];
  return {
    content: message.content ?? '',
    reasoning: message.reasoning_content ?? '',
    calls: (message.tool_calls ?? []).map(({ function: { name, arguments: args } }) => [name, JSON.parse(args)]),
    finish,
    usage: counted,
  };
}

async function streamed(router: TestRouter, recorded: Recorded): Promise<Said> {
  const body = { ...bodyFor(recorded), stream_options: { include_usage: true } };
  const { status, chunks, isDone, text } = await router.stream(body);
  assert.equal(status, 200, text);
  assert.ok(isDone);
  const parsed = chunks.map((value) => {
    assertFits('CreateChatCompletionStreamResponse', value);
    return streamChunk.parse(value);
  });
  const choices = parsed.flatMap((chunk) => chunk.choices);
  const names: string[] = [];
  const args: string[] = [];
  for (const { index, function: part } of choices.flatMap((choice) => choice.delta.tool_calls ?? [])) {
    if (part.name !== undefined) names[index] = part.name;
    args[index] = (args[index] ?? '') + (part.arguments ?? '');
  }
  const finishes = choices.flatMap(({ finish_reason: reason }) => reason ?? []);
  assert.equal(finishes.length, 1);
  return {
    content: choices.map((choice) => choice.delta.content ?? '').join(''),
    reasoning: choices.map((choice) => choice.delta.reasoning_content ?? '').join(''),
    calls: names.map((name, index) => [name, JSON.parse(args[index] ?? '')]),
    finish: finishes[0] ?? '',
    usage: parsed.at(-1)?.usage,
  };
}
