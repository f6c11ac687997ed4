import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startDashboard } from '@lfo/testing/dashboard-server.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { isJsonObject } from '../src/core/json.ts';

/** `POST /v1/feedback`, out of the tree Fastify draws of its routes. */
function registered(tree: string): readonly string[] {
  const parents: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const [, indent = '', part = '', methods] = /^([│ ]*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?/.exec(line) ?? [];
    if (part === '') return [];
    const depth = indent.length / 4;
    // A wildcard is drawn without the slash before it.
    parents.splice(depth, Infinity, part === '*' ? '/*' : part);
    const path = parents.join('');
    return (methods ?? '')
      .split(', ')
      .flatMap((method) => (method === '' || method === 'HEAD' ? [] : `${method} ${path.replace('//', '/')}`));
  });
}

function described(document: unknown): readonly string[] {
  const paths = at(document, 'paths');
  assert.ok(typeof paths === 'object' && paths !== null);
  return Object.entries(paths).flatMap(([path, item]: [string, unknown]) =>
    ['get', 'post', 'put', 'patch', 'delete']
      .filter((method) => at(item, method) !== undefined)
      .map(
        (method) =>
          `${method.toUpperCase()} ${path.replace('{id}', path.startsWith('/admin/') ? ':id' : '*').replace('{digest}', ':digest')}`,
      ),
  );
}

test('the document describes every route there is, except the dashboard, and no other', async (t) => {
  const { app } = await startDashboard(t);
  await app.ready();
  const all = registered(app.printRoutes({ commonPrefix: false }));
  assert.ok(all.some((route) => route.endsWith('/dashboard/login')));
  const { body } = await app.inject({ url: '/openapi.json' });
  const open = all.filter((route) => !route.includes('/dashboard'));
  assert.deepEqual(described(JSON.parse(body)).toSorted(), open.toSorted());
});

test('what the router really answers fits what the document says of it', async (t) => {
  const upstream = await ScriptedUpstream.start(answerWith({ deltas: ['It', ' is.'], logprobs: [-0.05, -0.02] }));
  t.after(() => upstream.close());
  const router = await startRouter(t, {
    yaml: `backends:\n  - { name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1", models: [small] }\n`,
  });
  const document: unknown = (await router.request('GET', '/openapi.json')).json;
  assert.ok(isJsonObject(document));
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema({ ...document, $id: 'lfo' });
  const escaped = (path: string): string => path.replaceAll('~', '~0').replaceAll('/', '~1');
  /** Of this operation, status and type of body. */
  const assertFits = (
    operation: readonly [string, string],
    status: number,
    value: unknown,
    type = 'application/json',
  ) => {
    const [method, path] = operation;
    const pointer = ['paths', path, method, 'responses', String(status), 'content', type, 'schema'];
    const validate = ajv.getSchema(`lfo#/${pointer.map(escaped).map(encodeURIComponent).join('/')}`);
    assert.ok(validate !== undefined, `not described: ${pointer.join(' ')}`);
    assert.ok(validate(value), `${pointer.join(' ')}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
  };

  const chat = ['post', '/v1/chat/completions'] as const;
  const whole = await router.chat(asking('Hello', { logprobs: true }));
  assertFits(chat, 200, whole.json);
  const { chunks } = await router.stream(asking('Hello', { stream_options: { include_usage: true } }));
  assert.ok(chunks.length > 3);
  for (const chunk of chunks) assertFits(chat, 200, chunk, 'text/event-stream');
  assertFits(chat, 400, (await router.chat({ messages: 7 })).json);
  assertFits(chat, 404, (await router.chat(asking('Hello', { model: 'unknown' }))).json);
  assertFits(chat, 503, (await router.chat(asking('Hello', { model: 'lfo-cloud' }))).json);
  assertFits(['post', '/v1/route'], 200, (await router.request('POST', '/v1/route', asking('Hello'))).json);

  const feedback = (body: unknown) => router.request('POST', '/v1/feedback', body);
  const given = { request_id: String(whole.headers['x-request-id']), verdict: 'good' };
  assertFits(['post', '/v1/feedback'], 200, (await feedback(given)).json);
  assertFits(['post', '/v1/feedback'], 400, (await feedback({ ...given, verdict: 'splendid' })).json);
  assertFits(['post', '/v1/feedback'], 404, (await feedback({ ...given, request_id: 'unknown' })).json);

  for (const path of ['/v1/models', '/health', '/ready']) {
    assertFits(['get', path], 200, (await router.request('GET', path)).json);
  }
  assertFits(['get', '/v1/models/{id}'], 200, (await router.request('GET', '/v1/models/small')).json);
  assertFits(['get', '/v1/models/{id}'], 404, (await router.request('GET', '/v1/models/unknown')).json);
});
