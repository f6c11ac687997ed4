import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertGrammar, textOfEvents, toolCallsOf } from '@lfo/testing/event-grammar.ts';
import { checkFields } from '@lfo/testing/gemini/check-fields.ts';
import { geminiSubject } from '@lfo/testing/gemini/gemini-subject.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { z } from 'zod';
import { BackendError } from '../../../core/errors.ts';
import type { InferenceEvent } from '../../../core/events.ts';

const folder = join(import.meta.dirname, '../../../../../../../shared/data/gemini-recordings');

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
const recording = z.object({
  interactions: z.array(
    z.object({
      request: z.object({ url: z.string() }),
      response: z.object({
        statusCode: z.number(),
        headers: z.record(z.string(), z.unknown()),
        bodySegments: z.array(z.unknown()).optional(),
      }),
    }),
  ),
});

/** One recorded answer. */
interface Recorded {
  readonly name: string;
  readonly model: string;
  readonly isStreamed: boolean;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Its chunks, the one body where it was unary. */
  readonly chunks: readonly unknown[];
}

const recordings = existsSync(folder) ? [...sdkRecordings(), ...fixtureRecordings()] : [];
const skip = recordings.length === 0 ? 'the recordings are not here' : false;

test('there is something to replay', { skip }, () => {
  assert.ok(recordings.length > 60, `${recordings.length} recordings`);
});

for (const recorded of recordings.filter(({ status }) => status === 200)) {
  test(`replays ${recorded.name} however its bytes are cut`, { timeout: 60_000 }, async (t) => {
    const bytes = Buffer.from(recorded.body);
    const whole = await replay(t, recorded, [bytes]);
    assertAnswer(whole, recorded);
    assert.deepEqual(await replay(t, recorded, randomSplits(bytes, 7)), whole);
    assert.deepEqual(await replay(t, recorded, randomSplits(bytes, 8)), whole);
    const singles = Array.from(bytes.subarray(0, 6_000), (byte) => Buffer.of(byte));
    assert.deepEqual(await replay(t, recorded, [...singles, bytes.subarray(6_000)]), whole);
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
  const upstream = await ScriptedUpstream.start(async (exchange) => {
    if (exchange.request.method === 'GET') return exchange.json(404, {});
    exchange.head(recorded.status, { 'content-type': recorded.contentType });
    for (const piece of pieces) {
      await exchange.write(piece);
      // A turn of the loop, so that pieces leave one by one; for thousands of single bytes that would take minutes.
      if (pieces.length < 100) await new Promise((resolve) => setImmediate(resolve));
    }
    return exchange.finish();
  });
  t.after(() => upstream.close());
  const { infer } = geminiSubject(t, upstream.origin, { models: [recorded.model] });
  const events = await infer({ stream: recorded.isStreamed });
  const sent = upstream.requests[0];
  assert.equal(checkFields(sent?.json, 'GenerateContentRequest'), undefined);
  assert.match(sent?.path ?? '', recorded.isStreamed ? /:streamGenerateContent\?alt=sse$/ : /:generateContent$/);
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

function sdkRecordings(): Recorded[] {
  const files = readdirSync(join(folder, 'js-genai')).filter((file) => file.endsWith('.json'));
  return files.flatMap((file) => {
    const { interactions } = recording.parse(JSON.parse(readFileSync(join(folder, 'js-genai', file), 'utf8')));
    return interactions.flatMap(({ request, response }, index) => {
      const called = /\/models\/([^:]+):(\w*[gG]enerateContent)/.exec(request.url);
      const segments = response.bodySegments;
      if (called === null || segments === undefined) return [];
      const isStreamed = called[2] === 'streamGenerateContent';
      const body = isStreamed && response.statusCode === 200 ? asStream(segments) : JSON.stringify(segments[0]);
      const contentType = String(response.headers['Content-Type']);
      const name = `${file.slice(0, 120)} #${index}`;
      return [
        { name, model: called[1] ?? '', isStreamed, status: response.statusCode, contentType, body, chunks: segments },
      ];
    });
  });
}

function fixtureRecordings(): Recorded[] {
  return readdirSync(join(folder, 'ai-sdk')).map((name) => {
    const text = readFileSync(join(folder, 'ai-sdk', name), 'utf8');
    const isStreamed = name.endsWith('.chunks.txt');
    const chunks: unknown[] = isStreamed
      ? text
          .split('\n')
          .filter((line) => line !== '')
          .map((line): unknown => JSON.parse(line))
      : [JSON.parse(text)];
    const status = name.includes('429') ? 429 : 200;
    const contentType = isStreamed ? 'text/event-stream' : 'application/json';
    const body = isStreamed ? asStream(chunks) : text;
    return { name, model: 'gemini-3-pro-preview', isStreamed, status, contentType, body, chunks };
  });
}

function asStream(chunks: readonly unknown[]): string {
  return chunks.map((value) => `data: ${JSON.stringify(value)}\r\n\r\n`).join('');
}

function randomSplits(bytes: Buffer, seed: number): Buffer[] {
  let state = seed;
  const next = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
  const cuts = Array.from({ length: 20 }, () => Math.floor(next() * bytes.length)).toSorted((a, b) => a - b);
  return [0, ...cuts]
    .map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length))
    .filter(({ length }) => length > 0);
}
