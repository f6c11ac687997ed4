import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FakeEngine, type FakeEngineKind, type FakeEngineOptions } from '@lfo/testing/engines/fake-engine.ts';
import { assertWithin } from '@lfo/testing/figure.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';

async function engineOf(t: TestContext, kind: FakeEngineKind, more: Partial<FakeEngineOptions> = {}) {
  const engine = await FakeEngine.start({
    kind,
    model: 'qwen',
    contextTokens: 4_096,
    slots: 16,
    queue: 64,
    answerMs: 5,
    ...more,
  });
  t.after(() => engine.close());
  return engine;
}

function entry(name: string, engine: FakeEngine, kind: string): string {
  return `  - { name: ${name}, kind: openai-compatible, engine: ${kind}, tier: local, base_url: "${engine.origin}/v1" }\n`;
}

/** Knows its models and how busy the engines are. */
async function hasLooked(router: TestRouter, engines: readonly FakeEngine[]): Promise<void> {
  await eventually(async () => {
    const listed = /"qwen"/.test((await router.request('GET', '/v1/models')).text);
    return listed && engines.every(({ metricsReads }) => metricsReads > 0) ? true : undefined;
  }, 'engines are known');
}

const configured = { vllm: 'vllm', sglang: 'sglang', 'inference-gateway': 'llm-d' } as const;

for (const kind of ['vllm', 'sglang', 'inference-gateway'] as const) {
  test(`${kind}: its context, its answers and its refusals in its own words`, async (t) => {
    const engine = await engineOf(t, kind, { slots: 1, queue: 0, answerMs: 150 });
    const router = await startRouter(t, { yaml: `backends:\n${entry('near', engine, configured[kind])}` });
    await hasLooked(router, kind === 'inference-gateway' ? [] : [engine]);
    const models = await router.request('GET', '/v1/models');
    const qwen = at(models.json, 'data', 3);
    assert.equal(at(qwen, 'id'), 'qwen');
    assert.equal(at(qwen, 'max_model_len'), 4_096);

    const whole = await router.chat(asking('Is it?', { model: 'qwen' }));
    assert.equal(at(whole.json, 'choices', 0, 'message', 'content'), 'It is.');
    const streamed = await router.stream(asking('Is it?', { model: 'qwen' }));
    assert.equal(streamed.isDone, true);
    assert.match(streamed.text, / is\./);

    // Longer than its context by its own count, shorter by the router's.
    const long = await router.chat(asking('x'.repeat(20_000), { model: 'qwen' }));
    assert.equal(long.status, 400, long.text);
    assert.equal(at(long.json, 'error', 'code'), 'context_length_exceeded');

    engine.occupy(1);
    const full = await router.chat(asking('Is there room?', { model: 'qwen' }));
    assert.equal(full.status, kind === 'inference-gateway' ? 429 : 503, full.text);
    assert.doesNotMatch(full.text, /InferencePool|queue is full|overloaded\./);
    engine.occupy(0);

    const [chat] = engine.chats;
    const headers = chat?.headers ?? {};
    const session = { vllm: 'x-session-id', sglang: 'x-smg-routing-key', 'inference-gateway': 'x-session-id' }[kind];
    assert.match(String(headers[session]), /^[\w-]{22}$/);
    assert.equal(headers['x-request-id'], whole.headers['x-request-id']);
    assert.equal(headers['x-gateway-inference-objective'], kind === 'inference-gateway' ? 'interactive' : undefined);
  });
}

test('an engine of this name that the model is not at says so', async (t) => {
  const engine = await engineOf(t, 'sglang');
  const yaml = `backends:
  - { name: near, kind: openai-compatible, engine: sglang, tier: local, base_url: "${engine.origin}/v1", models: [gone] }\n`;
  const router = await startRouter(t, { yaml });
  const answer = await router.chat(asking('Hello', { model: 'gone' }));
  assert.equal(answer.status, 404, answer.text);
  assert.equal(at(answer.json, 'error', 'code'), 'model_not_found');
});

/** Which engine had which conversation, by the text of its first message. */
function homes(engines: readonly FakeEngine[]): Map<string, Set<number>> {
  const found = new Map<string, Set<number>>();
  engines.forEach(({ chats }, index) => {
    for (const { text } of chats) {
      const name = /conversation \d+/.exec(text)?.[0] ?? '';
      found.set(name, (found.get(name) ?? new Set()).add(index));
    }
  });
  return found;
}

test('two routers without a common store send a conversation to the same of four engines, and spread them', async (t) => {
  const engines = await Promise.all([0, 1, 2, 3].map(() => engineOf(t, 'vllm')));
  const yaml = `backends:\n${engines.map((engine, index) => entry(`e${index}`, engine, 'vllm')).join('')}`;
  const routers = await Promise.all([startRouter(t, { yaml }), startRouter(t, { yaml })]);
  for (const router of routers) await hasLooked(router, engines);
  const say = async (router: TestRouter, index: number, turns: number): Promise<void> => {
    const first = { role: 'user', content: `This is conversation ${index}.` };
    const later = Array.from({ length: turns }, () => [
      { role: 'assistant', content: 'It is.' },
      { role: 'user', content: 'And so?' },
    ]).flat();
    const answer = await router.chat({ model: 'qwen', messages: [first, ...later] });
    assert.equal(answer.status, 200, answer.text);
  };
  const client = async (from: number): Promise<void> => {
    for (let index = from; index < 100; index += 4) {
      for (const [turn, router] of [...routers, ...routers].entries()) await say(router, index, turn);
    }
  };
  await Promise.all([0, 1, 2, 3].map(client));
  const found = homes(engines);
  assert.equal(found.size, 100);
  const faithful = [...found.values()].filter((where) => where.size === 1).length;
  t.diagnostic(
    `${faithful} of 100 conversations at one engine each; ${engines.map(({ chats }) => chats.length).join(' ')}`,
  );
  assert.ok(faithful >= 99, `${faithful} of 100`);
  for (const { chats } of engines) assert.ok(chats.length >= 40 && chats.length <= 180, `${chats.length} of 400 chats`);
});

test('a queue at one engine moves new work to the others within 5 s, and its conversations come back', async (t) => {
  const engines = await Promise.all([0, 1].map(() => engineOf(t, 'vllm', { slots: 4 })));
  const [busy, free] = engines;
  const yaml = `backends:\n${engines.map((engine, index) => entry(`e${index}`, engine, 'vllm')).join('')}`;
  const router = await startRouter(t, { yaml });
  await hasLooked(router, engines);
  // Names a conversation that belongs to the one that will be busy.
  let user = 0;
  const belongs = async (): Promise<boolean> => {
    const before = busy?.chats.length ?? 0;
    await router.chat(asking('Whose am I?', { model: 'qwen', user: `user ${user}` }));
    return (busy?.chats.length ?? 0) > before;
  };
  while (!(await belongs())) user++;
  busy?.occupy(24);
  const startMs = performance.now();
  await eventually(async () => {
    const before = free?.chats.length ?? 0;
    void router.chat(asking('Whose am I?', { model: 'qwen', user: `user ${user}` })).catch(() => undefined);
    await delay(100);
    return (free?.chats.length ?? 0) > before ? true : undefined;
  }, 'new work goes elsewhere');
  assertWithin(t, 'new work leaves a queue', performance.now() - startMs, 5_000);
  busy?.occupy(0);
  await eventually(async () => ((await belongs()) ? true : undefined), 'it comes back');
});

test('metrics that stall cost nothing but themselves', async (t) => {
  const engine = await engineOf(t, 'vllm');
  engine.hasStalledMetrics = true;
  const router = await startRouter(t, { yaml: `backends:\n${entry('near', engine, 'vllm')}` });
  await hasLooked(router, []);
  for (let turn = 0; turn < 5; turn++) {
    assert.equal((await router.chat(asking('Hello', { model: 'qwen' }))).status, 200);
  }
});
