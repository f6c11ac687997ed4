import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { startTiers, type Tiers } from '@lfo/testing/both-tiers.ts';
import { at } from '@lfo/testing/sse.ts';
import type { Exchange, Script } from '@lfo/testing/upstream/exchange.ts';
import * as z from 'zod';
import { type EmbeddingWire, embeddingWires } from './wires/embeddings.ts';

// The contract of a dialect for vectors: the same texts reach the backend as the same request on every wire, and the same
// vectors come back, with one record, in the wire's own words when it fails too.

const texts = ['Zürich 🏔', '{"a": "\\u0000"}', ' ', 'text\nof lines'];

const asked = z.object({ input: z.array(z.string()), dimensions: z.number().optional() });

/** A vector that says which text it is of, in values that any precision keeps; in reverse, as the wire allows. */
const vectors: Script = (exchange) => {
  if (exchange.request.method === 'GET') return exchange.json(200, { data: [] });
  const { input, dimensions = 3 } = asked.parse(exchange.request.json);
  const data = input.map((text, index) => ({ index, embedding: vectorOf(text, dimensions) })).toReversed();
  return exchange.json(200, { object: 'list', data, usage: { prompt_tokens: 7, total_tokens: 7 } });
};

function vectorOf(text: string, length = 3): number[] {
  return [text.length, text.codePointAt(0) ?? 0, -0.125, 0.5, 2].slice(0, length);
}

interface Scene extends Tiers {
  readonly embed: (
    wire: EmbeddingWire,
    asks?: { readonly model?: string; readonly texts?: readonly string[]; readonly dimensions?: number },
    headers?: Record<string, string>,
  ) => ReturnType<Tiers['router']['request']>;
  /** Requests for vectors that the upstream was sent. */
  readonly sent: (upstream: 'local' | 'cloud') => readonly Exchange['request'][];
}

async function scene(t: TestContext, settings = ''): Promise<Scene> {
  const tiers = await startTiers(t, {
    local: vectors,
    cloud: vectors,
    near: 'models: [small], embedding_models: [near-vectors]',
    far: 'models: [big], embedding_models: [far-vectors], api_key: sk-far',
    settings,
  });
  return {
    ...tiers,
    embed: (wire, { model = 'near-vectors', texts: given = [texts[0] ?? ''], dimensions } = {}, headers) =>
      tiers.router.request('POST', wire.path(model), wire.body(model, given, dimensions), headers),
    sent: (upstream) => tiers[upstream].requests.filter(({ method }) => method === 'POST'),
  };
}

const [first] = embeddingWires;
assert.ok(first !== undefined);

for (const wire of embeddingWires) {
  describe(wire.name, () => {
    test('the same texts reach the backend as on the first wire, and the same vectors come back, in order', async (t) => {
      const { embed, sent } = await scene(t);
      for (const dimensions of wire.hasDimensions ? [undefined, 2] : [undefined]) {
        for (const given of wire.isSingle === true ? texts.map((text) => [text]) : [texts, texts.slice(0, 1)]) {
          const asks = { texts: given, ...(dimensions !== undefined && { dimensions }) };
          const reference = await embed(first, asks);
          const answer = await embed(wire, asks);
          assert.equal(answer.status, 200, answer.text);
          const read = wire.read(answer.json);
          assert.deepEqual(
            read.vectors,
            given.map((text) => vectorOf(text, dimensions)),
          );
          assert.deepEqual(read.vectors, first.read(reference.json).vectors);
          assert.equal(read.tokens ?? 7, 7);
          const [one, two] = sent('local').slice(-2);
          assert.deepEqual([two?.path, two?.json], [one?.path, one?.json]);
        }
      }
    });

    test('one record, one call, and the answer explains itself', async (t) => {
      const { router, embed, sent } = await scene(t);
      const answer = await embed(wire);
      assert.deepEqual(
        [answer.headers['x-lfo-route'], answer.headers['x-lfo-egress'], sent('local').length],
        ['local', 'none', 1],
      );
      const id = answer.headers['x-request-id'];
      for (const [name, value] of Object.entries({ request_id: id, route: 'local', backend: 'near', egress: 'none' })) {
        assert.equal(at(answer.json, 'lfo_metadata', name), value);
      }
      await t.waitFor(async () => {
        const { json } = await router.request('GET', '/dashboard/api/requests?limit=10');
        const rows: unknown = at(json, 'requests');
        assert.ok(Array.isArray(rows) && rows.length === 1);
        assert.deepEqual([at(rows[0], 'id'), at(rows[0], 'dialect')], [id, wire.dialect]);
      });
      const { text: metrics } = await router.request('GET', '/metrics');
      assert.match(metrics, new RegExp(`lfo_requests_total\\{[^}]*dialect="${wire.dialect}"[^}]*\\} 1`));
    });

    test('errors come in the envelope of the wire, with the same status and code as on the first', async (t) => {
      const failing =
        (status: number): Script =>
        (exchange) =>
          exchange.json(status, { error: { message: 'no' } }, status === 429 ? { 'retry-after': '1' } : {});
      const cases: readonly (readonly [status: number, script: Script, asks: Parameters<Scene['embed']>[1]])[] = [
        [404, vectors, { model: 'nobody' }],
        [400, vectors, { model: 'small' }],
        [413, vectors, { texts: ['word '.repeat(1000)] }],
        [400, failing(400), {}],
        [502, failing(500), {}],
        [502, (exchange) => exchange.json(200, { data: [] }), {}],
        [429, failing(429), {}],
      ];
      for (const [status, script, asks] of cases) {
        const playing = await scene(t, 'limits: { body_bytes: 4000 }');
        playing.local.always((exchange) => (exchange.request.method === 'GET' ? vectors : script)(exchange));
        const seen: unknown[] = [];
        for (const one of [first, wire]) {
          const answer = await playing.embed(one, asks);
          assert.equal(answer.status, status, answer.text);
          const { code, message } = one.error(answer.text);
          assert.ok(message.length > 0);
          assert.equal(answer.headers['retry-after'] !== undefined, status === 429, String(status));
          seen.push(code);
        }
        assert.equal(seen[1], seen[0], String(status));
      }
    });

    test('a bad body is refused by its field', async (t) => {
      const { router, sent } = await scene(t);
      const fields = { 'openai-embeddings': 'input', gemini: '(content|requests)', ollama: '(input|prompt)' };
      const field = Object.entries(fields).find(([name]) => name === wire.dialect)?.[1] ?? '';
      const refused = await router.request('POST', wire.path('near-vectors'), { model: 'near-vectors' });
      assert.equal(refused.status, 400, refused.text);
      assert.match(wire.error(refused.text).message, new RegExp(`^${field}`));
      assert.deepEqual(sent('local'), []);
    });

    test('mode local asks no cloud, whatever the model', async (t) => {
      const { embed, sent } = await scene(t);
      const local = { 'x-lfo-mode': 'local' };
      const refused = await embed(wire, { model: 'far-vectors' }, local);
      assert.deepEqual([refused.status, wire.error(refused.text).code], [400, 'mode_conflict']);
      assert.equal((await embed(wire, {}, local)).status, 200);
      assert.deepEqual(sent('cloud'), []);
      const far = await embed(wire, { model: 'far-vectors' });
      assert.deepEqual([far.status, far.headers['x-lfo-egress'], sent('cloud').length], [200, 'far', 1]);
    });

    test('a client that leaves is told to the backend', { timeout: 10_000 }, async (t) => {
      const { router, local, sent } = await scene(t);
      const { promise, resolve } = Promise.withResolvers<unknown>();
      local.always(async (exchange) => resolve(await exchange.ended));
      const abort = new AbortController();
      const asking = fetch(router.app.url + wire.path('near-vectors'), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(wire.body('near-vectors', ['a'])),
        signal: abort.signal,
      });
      const left = assert.rejects(asking, { name: 'AbortError' });
      while (sent('local').length === 0) await new Promise((go) => setTimeout(go, 5));
      abort.abort();
      await left;
      assert.equal(await promise, 'aborted');
    });
  });
}

test('Ollama’s clients ask with no text for the model alone', async (t) => {
  const { router, sent } = await scene(t);
  for (const input of ['', []]) {
    const answer = await router.request('POST', '/api/embed', { model: 'near-vectors', input });
    assert.deepEqual([answer.status, at(answer.json, 'embeddings')], [200, []], answer.text);
  }
  assert.deepEqual(sent('local'), []);
});
