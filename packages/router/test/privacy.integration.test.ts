import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';

import type { Mutation } from '@lfo/testing/mutate.ts';
import { namespaceProblem } from '@lfo/testing/network-namespace.ts';
import { type Asked, packetsOf, startPrivacyNetwork } from '@lfo/testing/privacy-network.ts';
import { asking } from '@lfo/testing/router.ts';
import { faults } from '@lfo/testing/upstream/faults.ts';
import type { Talk, Wire } from './wires/talk.ts';
import { wires } from './wires/wires.ts';

const skip = namespaceProblem() ?? false;
const options = { skip, timeout: 120_000 } as const;

type Body = Readonly<Record<string, unknown>>;

const tool = { type: 'function', function: { name: 'look_up', parameters: { type: 'object', properties: {} } } };
const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const image = (url: string) => [
  {
    role: 'user',
    content: [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url } },
    ],
  },
];

/** What a request may be and what may go wrong with it, by name; every one is asked for in both modes. */
const rows: Readonly<Record<string, Body>> = {
  ...Object.fromEntries(Object.keys(faults).map((fault) => [fault, asking(fault)])),
  ...Object.fromEntries(Object.keys(faults).map((fault) => [`${fault}, streamed`, asking(fault, { stream: true })])),
  'low confidence': asking('be unsure'),
  'low confidence, streamed': asking('be unsure', { stream: true, stream_options: { include_usage: true } }),
  'an impossible threshold': asking('Hello', { metadata: { confidence_threshold: '1' } }),
  'truncated tool call': asking('call a tool', { tools: [tool], tool_choice: 'required' }),
  'tools, streamed': asking('fault-500 call a tool', { tools: [tool], stream: true }),
  'a prompt too long': asking('word '.repeat(30_000)),
  'a prompt beyond the local limit': asking('word '.repeat(3_000)),
  'an image': { messages: image(pixel) },
  'a JSON schema': asking('fault-500', {
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } },
  }),
  'log-probabilities': asking('fault-500', { logprobs: true, top_logprobs: 5 }),
  'several choices': asking('fault-500', { n: 3 }),
};

/** What is refused or answered without any backend, whatever the mode. */
const odd: Readonly<Record<string, Asked>> = {
  'bad JSON': { raw: '{"model":"lfo-cloud","messages":[' },
  'an unknown mode': { body: asking('Hello', { metadata: { mode: 'Local' } }) },
  'a mode of null': { body: asking('Hello', { metadata: { mode: null } }) },
  'modes in conflict': { body: asking('Hello', { metadata: { mode: 'local' } }), headers: { 'x-lfo-mode': 'cloud' } },
  'an alias in conflict': { body: asking('Hello', { model: 'lfo-cloud', metadata: { mode: 'local' } }) },
  'an unknown model': { body: asking('Hello', { model: 'http://203.0.113.9/model', metadata: { mode: 'local' } }) },
  'a cloud model in local mode': { body: asking('Hello', { model: 'far-model', metadata: { mode: 'local' } }) },
  'an image to fetch': { body: { model: 'lfo-local', messages: image('http://203.0.113.9/a.png') } },
  'an empty body': { raw: '' },
  'too deep': { raw: `{"model":"lfo-local","messages":${'['.repeat(500)}` },
  'a body that names hosts': {
    body: asking('fault-500', {
      model: 'lfo-local',
      base_url: 'http://203.0.113.9',
      api_base: 'http://203.0.113.9',
      url: 'http://203.0.113.9',
      proxy: 'http://203.0.113.9',
    }),
  },
  'an explanation': { path: '/v1/route', body: asking('Hello', { model: 'lfo-local' }) },
  'an explanation for the cloud': { path: '/v1/route', body: asking('Hello', { model: 'lfo-cloud' }) },
  'the models': { path: '/v1/models', method: 'GET' },
  'the health': { path: '/health', method: 'GET' },
  'the readiness': { path: '/ready', method: 'GET' },
  'nothing there': { path: '/nowhere', method: 'GET' },
};

const lookUp = { name: 'look_up', description: 'Looks it up.', schema: { type: 'object', properties: {} } };

/** The counters of every wire that has one. */
function countings(model: string): readonly Asked[] {
  const messages = [{ role: 'user', content: 'Hello' }];
  return [
    { path: '/v1/messages/count_tokens', body: { model, messages } },
    { path: '/v1/responses/input_tokens', body: { model, input: 'Hello' } },
    { path: `/v1beta/models/${model}:countTokens`, body: { contents: [{ parts: [{ text: 'Hello' }] }] } },
  ];
}

/** What tells a client which models there are. */
const listings: readonly Asked[] = [
  { path: '/v1/models', method: 'GET', headers: { 'anthropic-version': '2023-06-01' } },
  { path: '/v1/models', method: 'GET', headers: { 'x-goog-api-key': 'none' } },
  { path: '/v1/models', method: 'GET' },
  { path: '/v1beta/models', method: 'GET' },
  { path: '/api/tags', method: 'GET' },
  { path: '/api/ps', method: 'GET' },
  { path: '/api/version', method: 'GET' },
  { path: '/api/show', body: { model: 'far-model' } },
];

/** The ways to ask for vectors. */
function embeddings(model: string, headers: Readonly<Record<string, string>>): readonly Asked[] {
  const content = { parts: [{ text: 'Hello' }] };
  return [
    { path: '/v1/embeddings', body: { model, input: ['Hello', 'world'] }, headers },
    { path: '/api/embed', body: { model, input: 'Hello' }, headers },
    { path: '/api/embeddings', body: { model, prompt: 'Hello' }, headers },
    { path: `/v1beta/models/${model}:embedContent`, body: { content }, headers },
    { path: `/v1beta/models/${model}:batchEmbedContents`, body: { requests: [{ model, content }] }, headers },
  ];
}

/** Texts whose middle is to be filled in, or that are to be taken as they stand. */
function texts(model: string, headers: Readonly<Record<string, string>>): readonly Asked[] {
  return [false, true].flatMap((stream) => [
    { path: '/v1/completions', body: { model, prompt: 'Hello', suffix: '!', max_tokens: 16, stream }, headers },
    { path: '/api/generate', body: { model, prompt: 'Hello', suffix: '!', stream }, headers },
    { path: '/api/generate', body: { model, prompt: 'Hello', raw: true, stream }, headers },
  ]);
}

/** The older way to ask for a text, whole and as a stream. */
function completions(
  words: readonly string[],
  model: string,
  headers: Readonly<Record<string, string>>,
): readonly Asked[] {
  return words.flatMap((prompt) =>
    [false, true].map((stream) => ({
      path: '/v1/completions',
      body: { model, prompt, max_tokens: 16, stream },
      headers,
    })),
  );
}

/** The three ways to ask for a mode take turns. */
function inMode(mode: 'local' | 'cloud', body: Body, turn: number): Asked {
  if (turn % 3 === 0) return { body: { model: `lfo-${mode}`, ...body } };
  if (turn % 3 === 1) return { body, headers: { 'x-lfo-mode': mode } };
  const metadata = typeof body['metadata'] === 'object' ? body['metadata'] : {};
  return { body: { ...body, metadata: { ...metadata, mode } } };
}

/** The guards, each with what takes it away. */
const guards = {
  construction: {
    file: '/router/src/app/fleet.ts',
    find: "request.hints.mode === 'local' || members.cloud.length === 0 ? localStages : bothStages",
    replace: 'bothStages',
  },
  policy: { file: '/router/src/routing/policies.ts', find: "if (mode === 'auto')", replace: 'if (true)' },
  address: { file: '/router/src/backends/http/local-client.ts', find: "tier: 'local'", replace: "tier: 'cloud'" },
} as const satisfies Readonly<Record<string, Mutation>>;

/** Packets of a failing request in local mode, and of one to each backend that only looks local. */
async function packetsWithout(
  t: TestContext,
  ...mutations: readonly Mutation[]
): Promise<{ mode: number; all: number }> {
  const scene = await startPrivacyNetwork(t, mutations);
  const failing = ['fault-500', 'fault-reset-before-head', 'be unsure'];
  const mode = await packetsOf(
    scene,
    failing.map((text) => ({ body: asking(text, { model: 'lfo-local' }) })),
  );
  const models = ['named-model', 'foreign-model'];
  await packetsOf(
    scene,
    models.map((model) => ({ body: asking('Hello', { model }) })),
  );
  // Those are looked after from the start on, asked for or not.
  return { mode, all: scene.network.packets() };
}

describe('the privacy promise', { concurrency: 3 }, () => {
  test(
    'local mode sends no packet out, whatever fails; start-up and idling send none; cloud mode does',
    options,
    async (t) => {
      const scene = await startPrivacyNetwork(t);
      const { network, ask } = scene;
      assert.equal(await network.quiet(2000), 0, 'start-up and idling, with cloud keys configured');

      const entries = Object.entries(rows);
      assert.equal(
        await packetsOf(
          scene,
          entries.map(([, body], turn) => inMode('local', body, turn)),
        ),
        0,
        'rows in local',
      );
      assert.equal(await packetsOf(scene, Object.values(odd)), 0, 'odd requests');
      const leaving = entries.map(([, body]) => ({ body: { model: 'lfo-local', ...body }, leaveAfterMs: 50 }));
      assert.equal(await packetsOf(scene, leaving), 0, 'clients that leave');
      assert.equal(
        await packetsOf(
          scene,
          entries.map(([, body]) => ({
            body: { model: 'lfo-local', ...body },
            headers: { 'x-lfo-deadline-ms': '100' },
          })),
        ),
        0,
        'deadlines',
      );

      for (const name of ['closed', 'silent', 'named', 'foreign', 'broken']) {
        const model = name === 'broken' ? name : `${name}-model`;
        const answers = await Promise.all([1, 2, 3].map(() => ask({ body: asking('Hello', { model }) })));
        assert.ok(
          answers.every(({ status }) => status >= 500),
          `${name}: ${answers.map(({ status }) => status)}`,
        );
        assert.equal(network.packets(), 0, `backend ${name}`);
      }
      assert.ok(network.lanPackets() > 0, 'the silent backend was tried over the LAN, so packets are counted');

      scene.killModel();
      assert.ok((await ask({ body: asking('fault-500', { model: 'lfo-local' }) })).status >= 500);
      scene.signal('SIGHUP');
      assert.equal(await network.quiet(1500), 0, 'a killed model process and a reload');

      for (const [turn, [name, body]] of entries.entries()) {
        const before = network.packets();
        const { status } = await ask(inMode('cloud', body, turn));
        assert.ok(status >= 500, `${name} in cloud: ${status}`);
        assert.ok(network.packets() > before, `${name} in cloud sends packets`);
      }

      await network.quiet(300);
      const before = network.packets();
      const last = ask({ body: asking('fault-hang-mid-stream', { model: 'lfo-local', stream: true }) });
      scene.signal('SIGTERM');
      await last;
      assert.equal(await scene.ended, 0);
      assert.equal(network.packets(), before, 'draining');
    },
  );

  test(
    'no wire sends a packet out in local mode: answering, counting, embedding, listing; in cloud mode each does',
    options,
    async (t) => {
      const scene = await startPrivacyNetwork(t);
      const { network, ask } = scene;
      assert.equal(await network.quiet(500), 0, 'start-up');

      const asks = (words: string): Talk => ({
        system: 'Be brief.',
        turns: [{ user: words }],
        tools: [lookUp],
        maxTokens: 64,
      });
      const failing = ['Hello', 'fault-500', 'fault-reset-mid-stream', 'fault-401', 'be unsure', 'call a tool'];
      const on = (wire: Wire, words: string, model: string, isStream: boolean): Asked => ({
        path: wire.path(model, isStream),
        body: wire.body(asks(words), model, isStream),
      });
      for (const wire of wires) {
        const local = failing.flatMap((words) =>
          [false, true].flatMap((isStream) => [
            on(wire, words, 'lfo-local', isStream),
            { ...on(wire, words, 'lfo-auto', isStream), headers: { 'x-lfo-mode': 'local' } },
          ]),
        );
        assert.equal(await packetsOf(scene, local), 0, `${wire.name} in local`);
      }
      const continued = [
        ...completions(failing, 'lfo-local', {}),
        ...completions(failing, 'lfo-auto', { 'x-lfo-mode': 'local' }),
        ...texts('lfo-local', {}),
        ...texts('lfo-auto', { 'x-lfo-mode': 'local' }),
      ];
      assert.equal(await packetsOf(scene, continued), 0, 'completions in local');
      assert.equal(await packetsOf(scene, countings('lfo-local')), 0, 'counting in local');
      assert.equal(await packetsOf(scene, listings), 0, 'listing');
      assert.equal(await packetsOf(scene, embeddings('near-embed', {})), 0, 'embedding by a local model');
      const inLocal = { 'x-lfo-mode': 'local' };
      assert.equal(await packetsOf(scene, embeddings('far-embed', inLocal)), 0, 'embedding by a cloud model in local');
      assert.equal(await packetsOf(scene, countings('lfo-cloud')), 0, 'counting for the cloud');

      for (const wire of wires) {
        const before = network.packets();
        await ask(on(wire, 'Hello', 'lfo-cloud', false));
        assert.ok(network.packets() > before, `${wire.name} in cloud sends packets`);
      }
      for (const asked of [...completions(['Hello'], 'lfo-cloud', {}), ...embeddings('far-embed', {})]) {
        const before = network.packets();
        await ask(asked);
        assert.ok(network.packets() > before, `${asked.path} in cloud sends packets`);
      }
    },
  );

  test('without the construction alone, or the policy alone, the other still holds', options, async (t) => {
    const alone = [packetsWithout(t, guards.construction), packetsWithout(t, guards.policy)];
    assert.deepEqual(await Promise.all(alone), [
      { mode: 0, all: 0 },
      { mode: 0, all: 0 },
    ]);
  });

  test('without both guards of the mode the canary hears of a local request', options, async (t) => {
    const { mode } = await packetsWithout(t, guards.construction, guards.policy);
    assert.ok(mode > 0);
  });

  test('without the guard of addresses the canary hears of backends that only look local', options, async (t) => {
    const { all } = await packetsWithout(t, guards.address);
    assert.ok(all > 0);
  });
});
