import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { assertWithin } from '@lfo/testing/figure.ts';
import { lies, lyingEdge } from '@lfo/testing/lying-edge.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { refusingOrigin, ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const sure = answerWith({ deltas: ['Can', 'ber', 'ra', '.'], logprobs: [-0.01, -0.01, -0.01, -0.01] });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });
const fromCloud = answerWith({ deltas: ['Canberra, says the cloud.'] });

interface Sites {
  readonly centre: TestRouter;
  readonly edge: TestRouter;
  /** The edge's own model server. */
  readonly engine: ScriptedUpstream;
  /** Clouds of the centre and of the edge. */
  readonly cloud: ScriptedUpstream;
  readonly edgeCloud: ScriptedUpstream;
}

async function upstream(t: TestContext, script: Parameters<typeof ScriptedUpstream.start>[0]) {
  const started = await ScriptedUpstream.start(script);
  t.after(() => started.close());
  return started;
}

function cloudEntry(origin: string, model: string): string {
  return `  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${origin}/v1", models: [${model}] }\n`;
}

/** Both know their models. */
async function startSites(t: TestContext): Promise<Sites> {
  const engine = await upstream(t, undefined);
  engine.always(async (exchange) => {
    if (exchange.request.method === 'GET') {
      return exchange.json(200, { object: 'list', data: [{ id: 'small', object: 'model', context_length: 4096 }] });
    }
    return (exchange.request.text.includes('be unsure') ? unsure : sure)(exchange);
  });
  const cloud = await upstream(t, fromCloud);
  const edgeCloud = await upstream(t, fromCloud);
  const edge = await startRouter(t, {
    env: { LFO_ROUTER_NAME: 'edge-router' },
    yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${engine.origin}/v1", concurrency: 3 }
${cloudEntry(edgeCloud.origin, 'edge-cloud-model')}`,
  });
  await listed(edge, 'small');
  const centre = await startRouter(t, {
    env: { LFO_ROUTER_NAME: 'centre-router' },
    yaml: `backends:
  - { name: edge, kind: lfo, tier: local, base_url: "${edge.app.url}" }
  - { name: own, kind: openai-compatible, tier: local, base_url: "${engine.origin}/v1" }
${cloudEntry(cloud.origin, 'cloud-model')}`,
  });
  await listed(centre, 'edge/lfo-local');
  return { centre, edge, engine, cloud, edgeCloud };
}

async function ids(router: TestRouter): Promise<readonly unknown[]> {
  const data = at((await router.request('GET', '/v1/models')).json, 'data');
  return Array.isArray(data) ? data.map((entry) => at(entry, 'id')) : [];
}

async function listed(router: TestRouter, id: string): Promise<void> {
  await eventually(async () => ((await ids(router)).includes(id) ? true : undefined), `${id} is listed`);
}

test('an edge answers in mode local, says by which way, and both records name one trace', async (t) => {
  const { centre, edge, engine } = await startSites(t);
  const list = await ids(centre);
  // The plain name is both servers', and leads to either.
  assert.ok(list.includes('small') && list.includes('edge/small'), list.join(' '));
  assert.ok(!list.some((id) => String(id).includes('edge-cloud-model')), list.join(' '));

  for (const stream of [false, true]) {
    const before = engine.requests.length;
    const body = asking('Capital of Australia?', { model: 'edge/small', stream, logprobs: true });
    const streamed = stream ? await centre.stream(body) : undefined;
    const answer = streamed ?? (await centre.chat(body));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers['x-lfo-egress'], 'none');
    assert.equal(answer.headers['x-lfo-route'], 'local');
    const via = at(streamed?.chunks.at(-1) ?? answer.json, 'lfo_metadata', 'via');
    assert.deepEqual(via, [{ router: 'edge-router', backend: 'near', model: 'small', device: null }]);
    assert.equal(engine.requests.length, before + 1);
    const id = String(answer.headers['x-request-id']);
    const row = await eventually(async () => {
      const rows = at((await edge.request('GET', '/dashboard/api/requests?limit=1')).json, 'requests');
      const latest = Array.isArray(rows) ? rows[0] : undefined;
      return at(latest, 'traceId') === id.replaceAll('-', '') ? latest : undefined;
    }, 'the edge has it on record');
    assert.equal(at(row, 'mode'), 'local');
    assert.notEqual(at(row, 'id'), id);
  }
});

test('in auto the centre judges by the scores of the edge, and escalates to its own cloud alone', async (t) => {
  const { centre, cloud, edgeCloud } = await startSites(t);
  const body = { model: 'lfo-auto', metadata: { confidence_threshold: '0.7' } };
  const passed = await centre.chat({ ...asking('Capital of Australia?'), ...body });
  assert.equal(passed.headers['x-lfo-route'], 'local', passed.text);
  assert.equal(cloud.requests.length, 0);
  const escalated = await centre.chat({ ...asking('Capital of Australia? be unsure'), ...body });
  assert.equal(escalated.headers['x-lfo-route'], 'cloud', escalated.text);
  assert.equal(escalated.headers['x-lfo-egress'], 'far');
  assert.equal(cloud.requests.length, 1);
  assert.equal(edgeCloud.requests.length, 0);
});

test('the edge is told of the deadline left, the lane, the conversation and the LFOs before it, and says its load', async (t) => {
  const edge = await upstream(t, lyingEdge);
  const yaml = `backends:\n  - { name: edge, kind: lfo, tier: local, base_url: "${edge.origin}" }\n`;
  const centre = await startRouter(t, { yaml });
  await listed(centre, 'honest');
  const ask = (headers: Record<string, string>) =>
    centre.chat(asking('Hello', { model: 'honest', user: 'the user' }), headers);
  const answer = await ask({ 'x-lfo-deadline-ms': '5000', 'x-lfo-lane': 'background' });
  assert.equal(answer.status, 200, answer.text);
  const headers = edge.requests.at(-1)?.headers ?? {};
  const left = Number(headers['x-lfo-deadline-ms']);
  assert.ok(left > 3_000 && left < 5_000, `${left} ms are left`);
  assert.equal(headers['x-lfo-mode'], 'local');
  assert.equal(headers['x-lfo-lane'], 'background');
  assert.equal(headers['x-lfo-hops'], '1');
  assert.match(String(headers['x-lfo-session']), /^[\w-]{22}$/);
  const trace = String(answer.headers['x-request-id']).replaceAll('-', '');
  assert.match(String(headers['traceparent']), new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
  // What nobody here has judged is worth what the edge thinks of it.
  assert.equal(at(answer.json, 'lfo_metadata', 'confidence'), 0.9);

  const asked = await ask({ 'x-lfo-hops': '2', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` });
  assert.match(String(asked.headers['x-lfo-load']), /^running=\d+, waiting=\d+, slots=\d+$/);
  const further = edge.requests.at(-1)?.headers ?? {};
  assert.equal(further['x-lfo-hops'], '3');
  assert.match(String(further['traceparent']), new RegExp(`^00-${'a'.repeat(32)}-`));
  assert.equal((await ask({ 'x-lfo-hops': '4' })).status, 508);
});

test('an LFO that leads back to itself is found out', async (t) => {
  const own = new URL(await refusingOrigin());
  const yaml = `server: { port: ${own.port} }
backends:\n  - { name: round, kind: lfo, tier: local, base_url: "${own.origin}", models: [lfo-local] }\n`;
  const router = await startRouter(t, { yaml, env: { PORT: own.port } });
  const answer = await router.chat(asking('Hello', { model: 'lfo-local' }));
  assert.equal(answer.status, 508, answer.text);
  assert.equal(at(answer.json, 'error', 'code'), 'loop_detected');
});

test('a client that leaves the centre ends the work of the engine behind the edge', async (t) => {
  const { centre, engine } = await startSites(t);
  engine.always((exchange) => exchange.silence());
  const before = engine.exchanges.length;
  const leaving = new AbortController();
  const sent = fetch(`${centre.app.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(asking('Hello', { model: 'edge/small', stream: true })),
    signal: leaving.signal,
  }).catch(() => undefined);
  await engine.received(before + 1);
  const startMs = performance.now();
  leaving.abort();
  await sent;
  assert.equal(await engine.exchanges.at(-1)?.ended, 'aborted');
  assertWithin(t, 'a cancel through two LFOs', performance.now() - startMs, 300);
});

for (const lie of lies) {
  for (const stream of [false, true]) {
    test(`an answer of a site that ${lie.replaceAll('-', ' ')} is not given, ${stream ? 'streamed' : 'whole'}`, async (t) => {
      const edge = await upstream(t, lyingEdge);
      const cloud = await upstream(t, fromCloud);
      const centre = await startRouter(t, {
        yaml: `backends:
  - { name: edge, kind: lfo, tier: local, base_url: "${edge.origin}" }
${cloudEntry(cloud.origin, 'cloud-model')}`,
      });
      await listed(centre, lie);
      const body = asking('Capital of Australia?', { model: lie, metadata: { mode: 'local' } });
      const where = lie.startsWith('says-so') ? 'edge/gemini' : 'edge/unknown';
      const answer = stream ? await centre.stream(body) : await centre.chat(body);
      if (stream && lie.endsWith('at-the-end')) {
        // Words have left by then: an error ends them.
        assert.match(answer.text, /"code":"egress_violation"/);
        assert.match(answer.text, new RegExp(`"egress":"${where}"`));
        assert.doesNotMatch(answer.text, /\[DONE\]/);
      } else {
        assert.equal(answer.status, 502, answer.text);
        assert.equal(at(answer.json, 'error', 'code'), 'egress_violation');
        assert.equal(answer.headers['x-lfo-egress'], where);
        assert.doesNotMatch(answer.text, /ber/);
      }
      assert.equal(cloud.requests.length, 0, 'nothing goes to the cloud in its place');
      // It is asked no more, honest or not.
      const later = await centre.chat(asking('Hello', { model: 'honest', metadata: { mode: 'local' } }));
      assert.equal(later.status, 503, later.text);
      assert.equal(edge.requests.filter(({ method }) => method === 'POST').length, 1);
      const { text } = await centre.request('GET', '/metrics');
      assert.match(text, /lfo_egress_violations_total\{backend="edge"\} 1/);
    });
  }
}
