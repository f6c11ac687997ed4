import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { outputOf } from '@lfo/testing/run-program.ts';
import { jsSdks, pythonSdks } from '@lfo/testing/sdks/sdk-folders.ts';
import { fromEvents, scriptedRouter, someUsage } from '@lfo/testing/scripted-router.ts';
import { at } from '@lfo/testing/sse.ts';
import type { InferenceEvent } from '../src/core/events.ts';
import { textOf } from '../src/core/request.ts';

// SDKs that are not in this workspace: those for Python, and the AI SDK. `.ci/set-up` installs them.

const said: readonly InferenceEvent[] = [
  { type: 'start', model: 'tiny' },
  { type: 'text-delta', text: 'It is \ud83c' },
  { type: 'text-delta', text: '\udfd4 4.' },
  { type: 'finish', reason: 'stop', usage: someUsage },
];
const called: readonly InferenceEvent[] = [
  { type: 'start', model: 'tiny' },
  { type: 'tool-call-start', index: 0, id: 'call0', name: 'weather' },
  { type: 'tool-call-delta', index: 0, json: '{"city":"Zü' },
  { type: 'tool-call-delta', index: 0, json: 'rich"}' },
  { type: 'tool-call-end', index: 0 },
  { type: 'finish', reason: 'tool_calls', usage: someUsage },
];

async function ask(t: TestContext, command: (base: string) => readonly string[], env: Record<string, string>) {
  const router = scriptedRouter({
    answer: ({ messages }) =>
      fromEvents(messages.some((message) => textOf(message).includes('Call it')) ? called : said),
  });
  const base = await router.listen();
  t.after(() => router.app.close());
  const [program = '', ...args] = command(base);
  const own = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
  return JSON.parse(await outputOf(program, args, { env: { ...own, ...env } }));
}

const expected = (name: string) => {
  const text = ['It is 🏔 4.', []];
  const call = ['', [['weather', { city: 'Zürich' }]]];
  return [name, { 'text whole': text, 'text in a stream': text, 'call whole': call, 'call in a stream': call }];
};

test('the official SDKs for Python read every wire', { timeout: 60_000 }, async (t) => {
  const script = fileURLToPath(import.meta.resolve('@lfo/testing/sdks/sdks.py'));
  const { understood, counted, left } = await ask(t, (base) => ['python3', script, base], {
    PYTHONPATH: pythonSdks,
    PYTHONDONTWRITEBYTECODE: '1',
  });
  assert.deepEqual(
    Object.entries(understood),
    ['openai-chat', 'openai-responses', 'anthropic', 'gemini', 'ollama'].map(expected),
  );
  assert.deepEqual([counted, left], [12, 'response.created']);
});

test('the AI SDK reads every wire that its providers speak by default', { timeout: 60_000 }, async (t) => {
  const script = fileURLToPath(import.meta.resolve('@lfo/testing/sdks/ai-sdk.mjs'));
  const { understood } = await ask(t, (base) => [process.execPath, script, base, jsSdks], {});
  assert.ok(at(understood, 'anthropic') !== undefined);
  assert.deepEqual(
    Object.entries(understood),
    ['openai-responses', 'openai-chat', 'anthropic', 'gemini'].map(expected),
  );
});
