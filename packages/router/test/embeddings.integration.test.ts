import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { GoogleGenAI } from '@google/genai';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { type Script } from '@lfo/testing/upstream/exchange.ts';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import * as z from 'zod';

const asked = z.object({ model: z.string(), input: z.array(z.unknown()), dimensions: z.number().optional() });

/** What Gemini was asked for first. */
const sentTo = (upstream: ScriptedUpstream): unknown[] =>
  z.object({ requests: z.array(z.unknown()) }).parse(upstream.requests[0]?.json).requests;

/** A vector says which text it is of. */
const numberOf = (text: unknown): number[] => [Number(/\d+/.exec(JSON.stringify(text))?.[0] ?? -1), 0.25];

/** Statuses of the next requests for vectors, before the answers go on. */
const failures: number[] = [];

/** In reverse, as the wire allows. */
const embeddings: Script = (exchange) => {
  if (exchange.request.method === 'GET') return exchange.json(200, { data: [] });
  const failure = failures.shift();
  if (failure !== undefined) return exchange.json(failure, { error: { message: 'no' } });
  const { input } = asked.parse(exchange.request.json);
  const data = input.map((text, index) => ({ object: 'embedding', index, embedding: numberOf(text) })).toReversed();
  return exchange.json(200, {
    object: 'list',
    data,
    usage: { prompt_tokens: input.length, total_tokens: input.length },
  });
};

describe('embeddings through the router', () => {
  let near: ScriptedUpstream;
  let far: ScriptedUpstream;
  before(async () => {
    near = await ScriptedUpstream.start(embeddings);
    far = await ScriptedUpstream.start(embeddings);
  });
  after(() => Promise.all([near.close(), far.close()]));

  const started = (t: Parameters<typeof startRouter>[0]): Promise<TestRouter> =>
    startRouter(t, {
      yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${near.origin}/v1", models: [small], embedding_models: [nomic, shared] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${far.origin}/v1", models: [large], embedding_models: [text-embedding-3-small, shared], api_key: sk-far }
`,
    });
  test('a collector is told of embeddings as what they are', async (t) => {
    const collector = await ScriptedUpstream.start((exchange) => exchange.json(200, {}));
    t.after(() => collector.close());
    const yaml = `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${near.origin}/v1", models: [small], embedding_models: [nomic] }
`;
    const { app } = await startRouter(t, { yaml, env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin } });
    const body = JSON.stringify({ model: 'nomic', input: 'text 7' });
    const headers = { 'content-type': 'application/json' };
    assert.equal((await fetch(`${app.url}/v1/embeddings`, { method: 'POST', headers, body })).status, 200);
    await collector.received(1);
    const text = collector.requests[0]?.text ?? '';
    assert.deepEqual(
      Array.from(text.matchAll(/"name":"(?!lfo)([^"]*)"/g), ([, name]) => name),
      ['embeddings lfo', 'embeddings nomic'],
    );
    assert.equal(text.split('{"key":"gen_ai.operation.name","value":{"stringValue":"embeddings"}}').length, 3);
  });

  const posts = (upstream: ScriptedUpstream) => upstream.requests.filter(({ method }) => method === 'POST').length;

  test('the official SDK, which asks for base64, gets its vectors in order, split and joined', async (t) => {
    const { app } = await started(t);
    const client = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'none', maxRetries: 0 });
    const texts = Array.from({ length: 250 }, (_, at) => `text ${at}`);
    const calls = posts(near);
    const { data, usage, model } = await client.embeddings.create({ model: 'nomic', input: texts });
    assert.deepEqual(
      data.map(({ embedding }) => embedding),
      texts.map((_, at) => [at, 0.25]),
    );
    assert.deepEqual(
      data.map(({ index }) => index),
      texts.map((_, at) => at),
    );
    assert.deepEqual([usage.prompt_tokens, model, posts(near) - calls], [250, 'nomic', 3]);
    const floats = await client.embeddings.create({ model: 'nomic', input: 'text 7', encoding_format: 'float' });
    assert.deepEqual(floats.data[0]?.embedding, [7, 0.25]);
  });

  test('OpenAI’s document', { skip: withoutReferenceData }, async (t) => {
    const { request } = await started(t);
    const { json } = await request('POST', '/v1/embeddings', { model: 'nomic', input: ['text 1', 'text 2'] });
    openApiValidator()('CreateEmbeddingResponse', json);
  });

  test('a name is one model: no other stands in, and the mode must agree with its tier', async (t) => {
    const { request } = await started(t);
    const [nearCalls, farCalls] = [posts(near), posts(far)];
    const ask = (model: string, headers = {}) => request('POST', '/v1/embeddings', { model, input: 'text 1' }, headers);
    const code = ({ status, text }: { status: number; text: string }) => [status, JSON.parse(text).error.code];
    assert.deepEqual(code(await ask('text-embedding-3-small', { 'x-lfo-mode': 'local' })), [400, 'mode_conflict']);
    assert.deepEqual(code(await ask('nomic', { 'x-lfo-mode': 'cloud' })), [400, 'mode_conflict']);
    assert.deepEqual(code(await ask('unheard-of-mini')), [404, 'model_not_found']);
    assert.deepEqual(code(await ask('lfo-auto')), [400, 'model_not_embedding']);
    // Two local ones: no alias.
    assert.deepEqual(code(await ask('lfo-embed')), [404, 'model_not_found']);
    assert.deepEqual([posts(near) - nearCalls, posts(far) - farCalls], [0, 0]);
    failures.push(400);
    const refused = await ask('shared');
    assert.deepEqual([refused.status, posts(far) - farCalls], [400, 0]);
    const pinned = await ask('far/shared');
    assert.deepEqual([pinned.status, pinned.headers['x-lfo-egress'], posts(far) - farCalls], [200, 'far', 1]);
    const chat = await request('POST', '/v1/chat/completions', {
      model: 'nomic',
      messages: [{ role: 'user', content: 'Hi' }],
    });
    assert.deepEqual(code(chat), [400, 'model_not_chat']);
  });

  test('bad requests name the field; a backend that answers with another length is refused', async (t) => {
    const { request } = await started(t);
    const param = async (body: object) => {
      const { status, text } = await request('POST', '/v1/embeddings', { model: 'nomic', ...body });
      return [status, JSON.parse(text).error.param];
    };
    for (const input of ['', [], [''], ['a', ''], [[]], Array(2049).fill('a'), undefined]) {
      const [status, field] = await param({ input });
      assert.equal(status, 400);
      assert.match(String(field), /^input/);
    }
    assert.deepEqual(await param({ input: 'text 1', dimensions: 0 }), [400, 'dimensions']);
    assert.deepEqual(await param({ input: 'text 1', dimensions: 99 }), [400, 'dimensions']);
    assert.deepEqual(await param({ input: 'text 1', encoding_format: 'int8' }), [400, 'encoding_format']);
  });

  test('a failure that may pass is tried again, and there is one record of it all', async (t) => {
    const { request } = await started(t);
    failures.push(500);
    const { status, text } = await request('POST', '/v1/embeddings', { model: 'nomic', input: 'text 3' });
    const { attempts, egress, request_id: id } = JSON.parse(text).lfo_metadata;
    assert.deepEqual(
      [status, egress, attempts.map(({ outcome }: { outcome: string }) => outcome)],
      [200, 'none', ['failed', 'answered']],
    );
    assert.equal(typeof id, 'string');
  });

  test('Ollama’s and Google’s own SDKs', async (t) => {
    const { app } = await started(t);
    const ollama = new Ollama({ host: app.url });
    const { embeddings: both, prompt_eval_count: count } = await ollama.embed({
      model: 'nomic:latest',
      input: ['text 1', 'text 2'],
    });
    assert.deepEqual(
      [both, count],
      [
        [
          [1, 0.25],
          [2, 0.25],
        ],
        2,
      ],
    );
    const { embedding } = await ollama.embeddings({ model: 'nomic', prompt: 'text 5' });
    assert.deepEqual(embedding, [5, 0.25]);
    const google = new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: app.url } });
    const said = await google.models.embedContent({ model: 'nomic', contents: ['text 8', 'text 9'] });
    assert.deepEqual(
      said.embeddings?.map(({ values }) => values),
      [
        [8, 0.25],
        [9, 0.25],
      ],
    );
    const { capabilities } = await ollama.show({ model: 'nomic' });
    assert.deepEqual(capabilities, ['embedding']);
  });
});

test('Gemini makes embeddings in batches of a hundred, of unit length, and is asked by its own key', async (t) => {
  const upstream = await ScriptedUpstream.start((exchange) => {
    const { requests } = z.object({ requests: z.array(z.unknown()) }).parse(exchange.request.json);
    return exchange.json(200, { embeddings: requests.map(() => ({ values: [3, 4] })) });
  });
  t.after(() => upstream.close());
  const { request } = await startRouter(t, {
    env: { GEMINI_API_KEY: 'fake-key', GEMINI_BASE_URL: upstream.origin },
  });
  const { status, json, headers } = await request('POST', '/v1/embeddings', {
    model: 'gemini-embedding-001',
    input: Array.from({ length: 101 }, (_, at) => `text ${at}`),
    dimensions: 2,
  });
  const { data } = z.object({ data: z.array(z.object({ embedding: z.array(z.number()) })) }).parse(json);
  assert.deepEqual([status, headers['x-lfo-egress'], data.length], [200, 'gemini', 101]);
  for (const value of [Math.hypot(...(data[0]?.embedding ?? []))]) assert.ok(Math.abs(value - 1) < 1e-6);
  assert.deepEqual(
    upstream.requests.map(({ path, headers }) => [path, headers['x-goog-api-key']]),
    [1, 2].map(() => ['/v1beta/models/gemini-embedding-001:batchEmbedContents', 'fake-key']),
  );
  assert.deepEqual(sentTo(upstream)[0], {
    model: 'models/gemini-embedding-001',
    content: { parts: [{ text: 'text 0' }] },
    outputDimensionality: 2,
  });
});
