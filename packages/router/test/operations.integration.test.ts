import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { assertWithin } from '@lfo/testing/figure.ts';
import { runLfo } from '@lfo/testing/lfo-process.ts';
import { parseMetrics, valueOf } from '@lfo/testing/prometheus-text.ts';
import { asking, startRouter, type TestRouter, type TestRouterOptions } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02] });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });

interface KeyedRouter {
  readonly router: TestRouter;
  readonly local: ScriptedUpstream;
  /** Runs `lfo keys …` as another process; its standard output. */
  readonly keys: (...args: string[]) => Promise<string>;
}

async function routerWithKeys(t: TestContext, options: TestRouterOptions = {}): Promise<KeyedRouter> {
  const local = await ScriptedUpstream.start(sure);
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['Canberra'] }));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const yaml = `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small, other] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
${options.yaml ?? ''}`;
  const router = await startRouter(t, { ...options, yaml });
  const keys = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runLfo(t, ['keys', ...args], { cwd: router.folder });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  return { router, local, keys };
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const code = (answer: { json: unknown }): unknown => at(answer.json, 'error', 'code');

/** Asks again until the router has seen what another process did; the milliseconds that took. */
async function untilStatus(router: TestRouter, key: string, status: number): Promise<number> {
  const from = performance.now();
  while (performance.now() - from < 30_000) {
    const answer = await router.request('GET', '/v1/models', undefined, bearer(key));
    if (answer.status === status) return performance.now() - from;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return assert.fail(`never ${status}`);
}

describe('managed keys', { timeout: 120_000 }, () => {
  test('the first key closes the door, and a revoked one is dead within a second, also in mid-stream', async (t) => {
    const { router, local, keys } = await routerWithKeys(t);
    assert.equal((await router.chat(asking('Hi'))).status, 200);
    const key = await keys('create', '--name', 'laptop');
    await untilStatus(router, 'anything', 401);
    assert.equal((await router.chat(asking('Hi'))).status, 401);
    assert.equal((await router.chat(asking('Hi'), bearer(key))).status, 200);

    local.always(answerWith({ deltas: Array.from({ length: 400 }, () => 'word '), paceMs: 50 }));
    const streaming = router.stream(asking('Hi', { model: 'lfo-local' }), bearer(key));
    await keys('revoke', 'laptop');
    assertWithin(t, 'key dead', await untilStatus(router, key, 401), 1_000);
    const cut = await streaming;
    assert.equal(cut.isDone, false);
    assert.equal((await router.chat(asking('Hi'))).status, 401);
    await keys('revoke', 'laptop', '--forget');
    await untilStatus(router, 'anything', 200);
  });

  test('scopes, modes and models hold', async (t) => {
    const { router, keys } = await routerWithKeys(t);
    const chat = await keys('create', '--name', 'chat', '--mode', 'local', '--model', 'small', 'lfo-cloud');
    const admin = await keys('create', '--name', 'admin', '--scope', 'admin');
    await untilStatus(router, admin, 403);
    const own = await router.chat(asking('Hi'), bearer(chat));
    assert.deepEqual([own.status, own.headers['x-lfo-egress']], [200, 'none']);
    assert.equal(at(own.json, 'lfo_metadata', 'mode'), 'local');
    assert.equal(code(await router.chat(asking('Hi', { model: 'other' }), bearer(chat))), 'model_not_allowed');
    assert.equal(code(await router.chat(asking('Hi', { model: 'lfo-auto' }), bearer(chat))), 'model_not_allowed');
    assert.equal(code(await router.chat(asking('Hi', { model: 'lfo-cloud' }), bearer(chat))), 'mode_not_allowed');
    assert.equal(code(await router.request('GET', '/metrics', undefined, bearer(chat))), 'scope_missing');
    assert.equal((await router.request('GET', '/metrics', undefined, bearer(admin))).status, 200);
    assert.equal(code(await router.chat(asking('Hi'), bearer(admin))), 'scope_missing');
  });

  test('of a hundred requests at once, as many come in as the limit says', async (t) => {
    const { router, keys } = await routerWithKeys(t);
    const key = await keys('create', '--name', 'ci', '--requests-per-minute', '10');
    await untilStatus(router, 'anything', 401);
    const answers = await Promise.all(Array.from({ length: 100 }, () => router.chat(asking('Hi'), bearer(key))));
    const refused = answers.filter(({ status }) => status === 429);
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
    assert.equal(refused.length, 90);
    const [first] = refused;
    assert.ok(first);
    assert.equal(code(first), 'rate_limit_exceeded');
    assert.equal(at(first.json, 'error', 'type'), 'rate_limit_error');
    assert.ok(Number(first.headers['retry-after']) >= 1);
    for (const { headers } of answers) {
      assert.equal(headers['x-ratelimit-limit-requests'], '10');
      assert.ok(Number(headers['x-ratelimit-remaining-requests']) >= 0);
    }
    assert.equal(first.headers['x-ratelimit-remaining-requests'], '0');
  });

  test('tokens are paid as the backend counted them, and streams say what is left too', async (t) => {
    const { router, keys } = await routerWithKeys(t);
    const key = await keys('create', '--name', 'ci', '--tokens-per-day', '20');
    await untilStatus(router, 'anything', 401);
    assert.equal((await router.stream(asking('Hi'), bearer(key))).status, 200);
    const left = await router.request('GET', '/v1/models', undefined, bearer(key));
    assert.equal(left.headers['x-ratelimit-remaining-tokens'], '4');
    const last = await router.stream(asking('Hi'), bearer(key));
    assert.equal(last.status, 200);
    assert.equal(last.headers['x-ratelimit-limit-tokens'], '20');
    assert.equal(code(await router.chat(asking('Hi'), bearer(key))), 'rate_limit_exceeded');
  });

  test('no key and no wrong key is written down anywhere', async (t) => {
    const { router, keys } = await routerWithKeys(t);
    const key = await keys('create', '--name', 'ci', '--scope', 'chat', 'admin');
    await untilStatus(router, 'anything', 401);
    const wrong = `lfo_${'c'.repeat(12)}_${'0123456789'.repeat(4)}`;
    await router.chat(asking('Hi'), bearer(key));
    await router.chat(asking('Hi'), bearer(wrong));
    const metrics = (await router.request('GET', '/metrics', undefined, bearer(key))).text;
    await router.app.close();
    const data = join(router.folder, 'data');
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const written = files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
    assert.ok(written.length >= 2);
    const secrets = [key, wrong].map((text) => text.slice(-40));
    for (const text of [router.log(), metrics, ...written]) {
      for (const secret of secrets) assert.equal(text.includes(secret), false);
    }
    const id = key.slice(4, 16);
    assert.ok(written.some((text) => text.includes(id)));
  });
});

describe('metrics', { timeout: 60_000 }, () => {
  test('what happened is counted, and every line is as Prometheus wants it', async (t) => {
    const { router, local } = await routerWithKeys(t);
    await router.chat(asking('What is 2+2?'));
    local.always(unsure);
    await router.stream(asking('Capital of Australia?'));
    await router.chat(asking('Hi', { model: 'nobody-knows-this' }));
    const { text, headers } = await router.request('GET', '/metrics');
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    const metrics = parseMetrics(text);
    assert.ok([...metrics.types.keys()].every((name) => name.startsWith('lfo_')));
    const dialect = 'openai-chat';
    const near = { route: 'local', backend: 'near', reason: 'confident', mode: 'auto', status: '200', dialect };
    assert.equal(valueOf(metrics, 'lfo_requests_total', near), 1);
    const far = { route: 'cloud', backend: 'far', reason: 'low_confidence', mode: 'auto', status: '200', dialect };
    assert.equal(valueOf(metrics, 'lfo_requests_total', far), 1);
    assert.equal(valueOf(metrics, 'lfo_escalations_total', { reason: 'low_confidence' }), 1);
    assert.equal(valueOf(metrics, 'lfo_refusals_total', { code: 'model_not_found' }), 1);
    assert.equal(valueOf(metrics, 'lfo_tokens_total', { kind: 'prompt', tier: 'local', backend: 'near' }), 12);
    assert.equal(valueOf(metrics, 'lfo_backend_up', { tier: 'local', backend: 'near' }), 1);
    assert.equal(valueOf(metrics, 'lfo_backend_breaker_state', { backend: 'near', state: 'closed' }), 1);
    for (const [tier, backend] of [
      ['local', 'near'],
      ['cloud', 'far'],
    ] as const) {
      assert.equal(valueOf(metrics, 'lfo_time_to_first_token_seconds_count', { tier, backend }), 1);
    }
    assert.ok(metrics.samples.some(({ name }) => name === 'lfo_build_info'));
    assert.equal(text.includes('nobody-knows-this'), false);
  });
});

describe('traces', { timeout: 60_000 }, () => {
  test('a collector receives one span a request and one an attempt, without a word of it', async (t) => {
    const collector = await ScriptedUpstream.start((exchange) => exchange.json(200, {}));
    t.after(() => collector.close());
    const yaml = `telemetry: { otlp_headers: { x-collector-key: canary } }\n`;
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin };
    const { router, local } = await routerWithKeys(t, { yaml, env });
    local.always(unsure);
    const answer = await router.chat(asking('Capital of Australia?'));
    const id = String(answer.headers['x-request-id']);
    await collector.received(1);
    const [request] = collector.requests;
    assert.ok(request);
    assert.deepEqual(
      [request.path, request.headers['content-type'], request.headers['x-collector-key']],
      ['/v1/traces', 'application/json', 'canary'],
    );
    const spans = at(request.json, 'resourceSpans', 0, 'scopeSpans', 0, 'spans');
    assert.ok(Array.isArray(spans));
    const facts = spans.map((span: unknown) => ({
      trace: at(span, 'traceId'),
      parent: at(span, 'parentSpanId'),
      attributes: attributesOf(span),
    }));
    assert.equal(facts.length, 3);
    assert.ok(facts.every(({ trace }) => trace === id.replaceAll('-', '')));
    assert.equal(facts[0]?.parent, undefined);
    assert.ok(facts.slice(1).every(({ parent }) => parent === at(spans[0], 'spanId')));
    assert.deepEqual(
      ['gen_ai.operation.name', 'gen_ai.response.model', 'gen_ai.usage.input_tokens', 'lfo.route', 'lfo.reason'].map(
        (name) => facts[0]?.attributes.get(name),
      ),
      ['chat', 'big', '12', 'cloud', 'low_confidence'],
    );
    assert.equal(facts[1]?.attributes.get('lfo.outcome'), 'escalated');
    assert.equal(facts[1]?.attributes.get('gen_ai.request.model'), 'small');
    assert.equal(facts[2]?.attributes.get('gen_ai.provider.name'), 'far');
    assert.doesNotMatch(request.text, /Australia|Canberra|Syd/);
    for (const span of spans)
      assert.ok(BigInt(String(at(span, 'endTimeUnixNano'))) >= BigInt(String(at(span, 'startTimeUnixNano'))));
    const metrics = parseMetrics((await router.request('GET', '/metrics')).text);
    assert.equal(valueOf(metrics, 'lfo_spans_sent_total', {}), 3);
  });
});

function attributesOf(span: unknown): Map<unknown, unknown> {
  const attributes = at(span, 'attributes');
  assert.ok(Array.isArray(attributes));
  return new Map(
    attributes.map((attribute: unknown) => {
      const value = at(attribute, 'value');
      return [at(attribute, 'key'), typeof value === 'object' && value !== null ? Object.values(value)[0] : undefined];
    }),
  );
}
