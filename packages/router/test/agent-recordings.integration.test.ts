import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RecordedRequest, Recording } from '@lfo/testing/agents/recording.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { fromEvents, plainAnswer, scriptedRouter } from '@lfo/testing/scripted-router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { isJsonObject, parseJson } from '../src/core/json.ts';
import { type ChatRequest, type Message, textOf, type ToolCall } from '../src/core/request.ts';
import { parsed, type Talk, type TalkCall, type Turn } from './wires/talk.ts';
import { wires } from './wires/wires.ts';

// What real agents sent, by `npm run test:agents`: each request is understood on its own wire, and says the same on every
// other one.

const folder = fileURLToPath(new URL('../../../testing/agent-recordings', import.meta.url));
const recordings = globSync('*.json', { cwd: folder })
  .toSorted()
  .map((file): Recording => parsed(readFileSync(join(folder, file), 'utf8')));

/** Requests that ask for an answer. */
function asking({ requests }: Recording): readonly RecordedRequest[] {
  const paths = /\/(messages|responses|chat\/completions)(\?|$)|:(stream)?generateContent/i;
  return requests.filter(({ method, path }) => method === 'POST' && paths.test(path));
}

function send(base: string, { method, path, headers, body }: RecordedRequest): Promise<Response> {
  return fetch(base + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
}

test('there is a recording of every agent that was tried', () => {
  assert.ok(recordings.length >= 4, `${recordings.length}`);
  for (const recording of recordings) assert.ok(asking(recording).length >= 2, recording.agent);
});

for (const recording of recordings) {
  describe(`${recording.agent} ${recording.version}`, () => {
    test('everything that it asked is answered', async (t) => {
      const router = scriptedRouter({ answer: () => fromEvents(plainAnswer('Done.')) });
      const base = await router.listen();
      t.after(() => router.app.close());
      for (const request of recording.requests) {
        const response = await send(base, request);
        const text = await response.text();
        const isKnown = response.ok || [404, 426].includes(response.status);
        assert.ok(isKnown, `${request.method} ${request.path}: ${response.status} ${text}`);
      }
      for (const request of asking(recording)) assert.equal((await send(base, request)).status, 200, request.path);
    });

    test('its conversations say the same on every wire', async (t) => {
      const seen: ChatRequest[] = [];
      const router = scriptedRouter({
        answer(request) {
          seen.push(request);
          return fromEvents(plainAnswer('Done.'));
        },
      });
      const base = await router.listen();
      t.after(() => router.app.close());
      for (const request of asking(recording)) {
        seen.length = 0;
        await (await send(base, request)).text();
        const [original] = seen;
        assert.ok(original !== undefined);
        const talk = talkOf(original);
        seen.length = 0;
        for (const wire of wires) {
          const response = await fetch(base + wire.path('lfo-auto', false), {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(wire.body(talk, 'lfo-auto', false)),
          });
          assert.equal(response.status, 200, `${wire.name}: ${await response.text()}`);
        }
        const [first, ...others] = seen;
        assert.ok(first !== undefined);
        assert.equal(first.messages.map(textOf).join('\n').length, talkLength(talk));
        for (const other of others) assert.deepEqual([other.messages, other.tools], [first.messages, first.tools]);
      }
    });
  });
}

test('Claude Code’s second turn begins with what the model server has just read', async (t) => {
  const recording = recordings.find(({ agent }) => agent === 'Claude Code');
  assert.ok(recording !== undefined);
  const upstream = await ScriptedUpstream.start(answerWith({ deltas: ['Done.'] }));
  t.after(() => upstream.close());
  const router = await startRouter(t, {
    yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1", models: [small], context_tokens: 200000 }
`,
  });
  const turns = asking(recording).filter(
    ({ body }) => Array.isArray(at(body, 'tools')) && at(body, 'tools', 0) !== undefined,
  );
  assert.ok(turns.length >= 2);
  const rendered: string[] = [];
  const shares: unknown[] = [];
  for (const { path, body } of turns.slice(0, 2)) {
    assert.ok(isJsonObject(body));
    const { text, status } = await router.request('POST', path, { ...body, stream: false, model: 'lfo-local' });
    assert.equal(status, 200, text);
    shares.push(at(parseJson(text), 'lfo_metadata', 'prefix_reuse'));
    rendered.push(prompt(upstream.requests.at(-1)?.json));
  }
  const [first = '', second = ''] = rendered;
  let shared = 0;
  while (shared < first.length && first[shared] === second[shared]) shared++;
  assert.ok(shared / second.length >= 0.95, `${shared} of ${second.length} characters`);
  assert.ok(typeof shares[1] === 'number' && shares[1] >= 0.95, String(shares[1]));
});

/** As a template writes it: tools, then turn after turn. */
function prompt(body: unknown): string {
  const messages = at(body, 'messages');
  assert.ok(Array.isArray(messages));
  return `${JSON.stringify(at(body, 'tools'))}\n${messages.map((message: unknown) => JSON.stringify(message)).join('\n')}`;
}

function talkOf({ messages, tools }: ChatRequest): Talk {
  const system = messages.filter(({ role }) => role === 'system' || role === 'developer').map(textOf);
  return {
    ...(system.length > 0 && { system: system.join('\n') }),
    turns: joined(messages.flatMap((message) => turnOf(message, messages))),
    tools: tools.map(({ name, description = '', parameters = { type: 'object', properties: {} } }) => ({
      name,
      description,
      schema: parameters,
    })),
    maxTokens: 100,
  };
}

/** Words of a user one after another: most wires have no way to keep them apart. */
function joined(turns: readonly Turn[]): readonly Turn[] {
  const whole: Turn[] = [];
  for (const turn of turns) {
    const last = whole.at(-1);
    if ('user' in turn && last !== undefined && 'user' in last) {
      whole[whole.length - 1] = { user: `${last.user}\n${turn.user}` };
    } else whole.push(turn);
  }
  return whole;
}

function turnOf(message: Message, all: readonly Message[]): readonly Turn[] {
  switch (message.role) {
    case 'user':
      return [{ user: textOf(message) }];
    case 'assistant':
      return [{ assistant: textOf(message), calls: message.toolCalls.map(callOf) }];
    case 'tool': {
      const calls = all.flatMap((one) => (one.role === 'assistant' ? one.toolCalls : []));
      const call = calls.find(({ id }) => id === message.toolCallId);
      return call === undefined ? [] : [{ result: textOf(message), of: callOf(call) }];
    }
    default:
      return [];
  }
}

function callOf({ id, name, arguments: json }: ToolCall): TalkCall {
  const input = parseJson(json);
  return { id, name, input: isJsonObject(input) ? input : {} };
}

function talkLength({ system, turns }: Talk): number {
  const texts = turns.map((turn) => ('user' in turn ? turn.user : 'result' in turn ? turn.result : turn.assistant));
  return [...(system === undefined ? [] : [system]), ...texts].join('\n').length;
}
