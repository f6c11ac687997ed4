import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertGrammar, textOfEvents, toolCallsOf } from '@lfo/testing/event-grammar.ts';
import { checkFields } from '@lfo/testing/gemini/check-fields.ts';
import { type Recorded, geminiRecordings, replayIn, waysToCut } from '@lfo/testing/gemini/recordings.ts';
import { geminiSubject } from '@lfo/testing/gemini/gemini-subject.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { z } from 'zod';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';

const part = z.looseObject({
  text: z.string().optional(),
  thought: z.boolean().optional(),
  functionCall: z.looseObject({ name: z.string().optional(), args: z.unknown().optional() }).optional(),
});
const chunk = z.looseObject({
  candidates: z
    .array(
      z.looseObject({
        content: z.looseObject({ parts: z.array(part).optional() }).optional(),
        finishReason: z.string().optional(),
      }),
    )
    .optional(),
  usageMetadata: z.looseObject({ promptTokenCount: z.number().optional() }).optional(),
});
const recordings = geminiRecordings();
const skip = withoutReferenceData;

test('there is something to replay', { skip }, () => {
  assert.ok(recordings.length > 60, `${recordings.length} recordings`);
});

for (const recorded of recordings.filter(({ status }) => status === 200)) {
  test(`replays ${recorded.name} however its bytes are cut`, { timeout: 60_000 }, async (t) => {
    const [whole, ...others] = waysToCut(recorded.body);
    assert.ok(whole);
    const events = await replay(t, recorded, whole);
    assertAnswer(events, recorded);
    for (const pieces of others) assert.deepEqual(await replay(t, recorded, pieces), events);
  });
}

for (const recorded of recordings.filter(({ status }) => status !== 200)) {
  test(`replays ${recorded.name} as an error of its status`, async (t) => {
    const error = await replay(t, recorded, [Buffer.from(recorded.body)]).then(
      () => assert.fail('it succeeded'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof BackendError);
    assert.equal(error.status, recorded.status);
    assert.equal(error.retryAfterMs, recorded.status === 429 ? 34_400 : undefined);
  });
}

async function replay(
  t: Parameters<typeof geminiSubject>[0],
  recorded: Recorded,
  pieces: readonly Uint8Array[],
): Promise<InferenceEvent[]> {
  const upstream = await ScriptedUpstream.start(replayIn(pieces, recorded));
  t.after(() => upstream.close());
  const { infer } = geminiSubject(t, upstream.origin, { models: [recorded.model] });
  const events = await infer({ sampling: { stop: [], logprobs: false, reasoningEffort: 'low' } });
  const sent = upstream.requests[0];
  assert.equal(checkFields(sent?.json, 'GenerateContentRequest'), undefined);
  assert.match(sent?.path ?? '', /:streamGenerateContent\?alt=sse$/);
  return merged(events);
}

/** Ids are made anew each time, and text may be cut differently: neither is part of the result. */
function merged(events: readonly InferenceEvent[]): InferenceEvent[] {
  return events.map((event) => (event.type === 'tool-call-start' ? { ...event, id: `call${event.index}` } : event));
}

function assertAnswer(events: readonly InferenceEvent[], recorded: Recorded): void {
  const finish = assertGrammar(events);
  const chunks = recorded.chunks.map((value) => chunk.parse(value));
  const parts = chunks.flatMap(({ candidates }) => candidates?.[0]?.content?.parts ?? []);
  const visible = parts.filter(({ thought }) => thought !== true).map(({ text }) => text ?? '');
  assert.equal(textOfEvents(events), visible.join(''));
  const named = parts.flatMap(({ functionCall }) => (functionCall?.name === undefined ? [] : [functionCall]));
  assert.deepEqual(
    toolCallsOf(events).map(({ name }) => name),
    named.map(({ name }) => name),
  );
  const whole = named.filter(({ args }) => args !== undefined);
  const given = toolCallsOf(events).filter((_, index) => named[index]?.args !== undefined);
  assert.deepEqual(
    given.map(({ json }): unknown => JSON.parse(json)),
    whole.map(({ args }) => args),
  );
  const prompts = chunks.map(({ usageMetadata }) => usageMetadata?.promptTokenCount ?? 0);
  assert.equal(finish.usage.promptTokens, Math.max(...prompts));
  assert.equal(finish.nativeReason, chunks.flatMap(({ candidates }) => candidates?.[0]?.finishReason ?? []).at(-1));
}

test('arguments that arrive in pieces become one object, the last word of the call unsaid', { skip }, async (t) => {
  const found = recordings.find(({ name }) => name.includes('array-arguments-missing-terminal'));
  assert.ok(found);
  const events = await replay(t, found, [Buffer.from(found.body)]);
  const [call] = toolCallsOf(events);
  assert.deepEqual(JSON.parse(call?.json ?? ''), {
    operations: [
      { action: 'add', description: 'Fresh red apple', itemid: 'apple_001', price: 0.5 },
      { action: 'add', description: 'Ripe yellow banana', itemid: 'banana_001', price: 0.3 },
    ],
  });
});

test('calls without arguments and with streamed ones keep their order', { skip }, async (t) => {
  const found = recordings.find(({ name }) => name.includes('no-args-tool-call'));
  assert.ok(found);
  const events = await replay(t, found, [Buffer.from(found.body)]);
  assert.deepEqual(
    toolCallsOf(events).map(({ name, json }) => `${name} ${json}`),
    ['read_theme {}', 'read_screen {"id":"A"}', 'read_screen {"id":"B"}', 'read_screen {"id":"C"}'],
  );
  assert.ok(events.some(({ type }) => type === 'reasoning-delta'));
});
