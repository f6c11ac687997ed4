import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test, type TestContext } from 'node:test';

import { assertWithin } from '@lfo/testing/figure.ts';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { recordedRow } from '@lfo/testing/faults/recorded-row.ts';
import { runLfo } from '@lfo/testing/lfo-process.ts';
import { type Answer, asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { faults } from '@lfo/testing/upstream/faults.ts';
import { answerWith, frame } from '@lfo/testing/upstream/openai-answer.ts';

const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02] });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const code = (answer: Answer): unknown => at(answer.json, 'error', 'code');

interface Keyed {
  readonly router: TestRouter;
  readonly local: ScriptedUpstream;
  readonly cloud: ScriptedUpstream;
  /** Gives out a key and waits until the router knows it. */
  readonly create: (name: string, ...options: string[]) => Promise<string>;
  readonly revoke: (name: string) => Promise<void>;
  /** `lfo keys …` beside the router. */
  readonly run: (...args: string[]) => Promise<string>;
  /** Changes the database behind the router's back. */
  readonly change: (statement: string) => void;
}

async function keyed(t: TestContext, yaml = ''): Promise<Keyed> {
  const local = await ScriptedUpstream.start(sure);
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['Canberra'] }));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const router = await startRouter(t, {
    yaml: `${yaml}backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`,
  });
  const run = async (...args: string[]): Promise<string> => {
    const { code: exit, stdout, stderr } = await runLfo(t, ['keys', ...args], { cwd: router.folder });
    assert.equal(exit, 0, stderr);
    return stdout.trim();
  };
  return {
    router,
    local,
    cloud,
    async create(name, ...options) {
      const key = await run('create', '--name', name, ...options);
      const status = async () => (await router.request('GET', '/v1/models', undefined, bearer(key))).status;
      await until('keys are needed', async () => (await router.request('GET', '/v1/models')).status === 401);
      await until('the key is known', async () => (await status()) !== 401);
      return key;
    },
    run,
    revoke: async (name) => void (await run('revoke', name)),
    change(statement) {
      const database = new DatabaseSync(join(router.folder, 'data', 'lfo.db'), { timeout: 5_000 });
      database.exec(statement);
      database.close();
    },
  };
}

/** What tells two answers apart, besides what differs with every request. */
function told({ status, headers, text }: Answer): unknown {
  const { date: _date, 'x-request-id': _id, 'x-ratelimit-reset-requests': _untilMidnight, ...rest } = headers;
  return { status, text, headers: rest };
}

describe('security 20: what belongs to a key', { timeout: 60_000 }, () => {
  test('another key can neither read nor judge it, and learns nothing by asking', async (t) => {
    const { router, local, create, change } = await keyed(t);
    const [owner, stranger] = [await create('owner'), await create('stranger', '--requests-per-day', '1000')];
    const admin = await create('admin', '--scope', 'admin');
    const judge = (requestId: string, key: string) =>
      router.request('POST', '/v1/feedback', { request_id: requestId, verdict: 'bad' }, bearer(key));

    const recent = await router.chat(asking('Hi'), bearer(owner));
    await recordedRow(router, recent);
    const id = String(recent.headers['x-request-id']);
    const stored = `${id.slice(0, -1)}${id.endsWith('0') ? '1' : '0'}`;
    const row = await recordedRow(router, recent);
    const columns = Object.keys(row).filter((column) => column !== 'id');
    change(`insert into requests (id, ${columns.join()}) select '${stored}', ${columns.join()} from requests`);
    const { promise: running, resolve } = Promise.withResolvers<void>();
    local.always(async (exchange) => {
      await running;
      await sure(exchange);
    });
    const pending = router.chat(asking('Hi'), bearer(owner));
    await local.received(3);
    const page = await router.request('GET', '/dashboard/api/requests', undefined, bearer(admin));
    assert.equal(page.status, 200);

    const unknown = told(await judge('0190a5b0-0000-7000-8000-000000000000', stranger));
    assert.equal(at(unknown, 'status'), 404);
    for (const foreign of [id, stored]) assert.deepEqual(told(await judge(foreign, stranger)), unknown);
    resolve();
    const late = String((await pending).headers['x-request-id']);
    assert.deepEqual(told(await judge(late, stranger)), unknown);

    const views = [
      `requests/${id}`,
      `requests/${late}`,
      'requests/unknown',
      'requests',
      'trends',
      'confidence',
      'fleet',
      'live',
    ];
    const refused = await Promise.all(
      views.map(async (view) => told(await router.request('GET', `/dashboard/api/${view}`, undefined, bearer(owner)))),
    );
    for (const answer of refused) assert.deepEqual(answer, refused[0]);
    assert.equal(at(refused[0], 'status'), 403);

    for (const own of [id, stored, late]) assert.equal((await judge(own, owner)).status, 200);
    const read = await router.request('GET', `/dashboard/api/requests/${id}`, undefined, bearer(admin));
    assert.equal(at(read.json, 'feedback', 'verdict'), 'bad');
    assert.equal(at(read.json, 'clientKey', 'name'), 'owner');
    assert.equal((await judge(id, admin)).status, 200);
  });

  test('an id is made by the router alone, and is not the next one', async (t) => {
    const { router, create } = await keyed(t);
    const key = await create('app');
    const headers = { ...bearer(key), 'x-request-id': 'mine' };
    const ids = await Promise.all(
      Array.from({ length: 50 }, async () =>
        String((await router.chat(asking('Hi'), headers)).headers['x-request-id']),
      ),
    );
    assert.equal(new Set(ids.map((id) => id.slice(15))).size, 50);
    for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe('security 3: keys', { timeout: 60_000 }, () => {
  test('are long, shown once, kept as a digest, and good in a header alone', async (t) => {
    const { router, create } = await keyed(t);
    const [key, device] = [await create('app'), await create('phone', '--scope', 'device')];
    const [, , secret = ''] = key.split('_');
    assert.ok(key.startsWith('lfo_') && secret.length * 5 >= 128, 'characters of at least five bits');
    const data = join(router.folder, 'data');
    const digest = hash('sha256', key);
    const files = readdirSync(data).filter((name) => /^(lfo\.db|keys\.json)/.test(name));
    const written = files.map((name) => readFileSync(join(data, name), 'latin1'));
    assert.ok(written.some((text) => text.includes(digest)));
    assert.ok(written.every((text) => !text.includes(secret)));
    const { stdout } = await runLfo(t, ['keys', 'list'], { cwd: router.folder });
    assert.match(stdout, /app/);
    assert.ok(!stdout.includes(secret));

    const statuses = async (...asked: readonly Promise<Answer>[]) =>
      (await Promise.all(asked)).map(({ status }) => status);
    const models = (query: string, headers = {}) => router.request('GET', `/v1/models${query}`, undefined, headers);
    assert.deepEqual(
      await statuses(
        models('', bearer(key)),
        models('', bearer(digest)),
        models('', bearer(`${key.slice(0, -1)}_`)),
        models(`?api_key=${key}&token=${key}`),
        models(`?key=${key}`),
        router.chat(asking('Hi', { api_key: key, key, authorization: `Bearer ${key}` })),
        models('', bearer(device)),
      ),
      [200, 401, 401, 401, 400, 401, 403],
    );
  });

  test('end their streams within a second when they are revoked, deleted at once or not', async (t) => {
    const { router, local, create, run } = await keyed(t);
    await create('stays');
    for (const options of [[], ['--forget']]) {
      const key = await create('app');
      const before = local.requests.length;
      local.always(async (exchange) => {
        exchange.head(200, { 'content-type': 'text/event-stream' });
        for (let part = 0; part < 1_000 && exchange.end === undefined; part++) {
          await exchange.write(frame({ choices: [{ index: 0, delta: { content: 'x' } }] }));
          await exchange.pause(20);
        }
      });
      const stream = router.stream(asking('Hi', { model: 'lfo-local' }), bearer(key));
      await local.received(before + 1);
      await run('revoke', 'app', ...options);
      const from = performance.now();
      assert.equal((await stream).isDone, false);
      assertWithin(t, 'stream ended', performance.now() - from, 1_000);
      const ended = local.exchanges.at(-1)?.ended;
      assert.equal(await ended, 'aborted');
    }
  });

  test('end when they expire or are revoked, within a second', async (t) => {
    const { router, create, revoke, change } = await keyed(t);
    const [key, other] = [await create('app', '--expires', '1d'), await create('other')];
    const dead = (of: string) =>
      until('it is dead', async () => (await router.chat(asking('Hi'), bearer(of))).status === 401);
    change(`update keys set expires_ms = ${Date.now() - 1}, version = 99 where name = 'app'`);
    assertWithin(t, 'expired key dead', await dead(key), 1_000);
    assert.equal((await router.chat(asking('Hi'), bearer(other))).status, 200);
    await revoke('other');
    assertWithin(t, 'revoked key dead', await dead(other), 1_000);
  });
});

describe("security 16: a key's limits", { timeout: 60_000 }, () => {
  test('requests at once are counted exactly, each key by itself, and a place left is free again', async (t) => {
    const { router, local, create } = await keyed(t);
    const [key, other] = [await create('app', '--concurrency', '2'), await create('other', '--concurrency', '2')];
    const { promise: gate, resolve } = Promise.withResolvers<void>();
    local.always(async (exchange) => {
      await gate;
      await sure(exchange);
    });
    const ask = (of: string) => router.chat(asking('Hi', { model: 'lfo-local' }), bearer(of));
    const asked = Array.from({ length: 20 }, () => ask(key));
    const others = [ask(other), ask(other)];
    await local.received(5);
    resolve();
    const passed = (answers: readonly Answer[]) => answers.filter(({ status }) => status === 200).length;
    const answers = await Promise.all(asked);
    assert.deepEqual([passed(answers), passed(await Promise.all(others))], [2, 2]);
    assert.ok(answers.every((answer) => answer.status === 200 || code(answer) === 'rate_limit_exceeded'));
    local.always((exchange) => exchange.silence());
    const leaving = [1, 2].map(() =>
      router.chat(asking('Hi', { model: 'lfo-local' }), { ...bearer(key), 'x-lfo-deadline-ms': '100' }),
    );
    for (const { status } of await Promise.all(leaving)) assert.equal(status, 504);
    local.always(sure);
    assert.equal(passed(await Promise.all([ask(key), ask(key)])), 2);
  });

  test('money is paid as it was spent, at most one answer beyond the limit', async (t) => {
    const { router, create } = await keyed(t, 'prices: { big: { prompt: 1000000, completion: 0 } }\n');
    const key = await create('app', '--usd-per-day', '20');
    const statuses: number[] = [];
    for (let request = 0; request < 4; request++) {
      statuses.push((await router.chat(asking('Hi', { model: 'lfo-cloud' }), bearer(key))).status);
    }
    assert.deepEqual(statuses, [200, 200, 429, 429], 'twelve dollars each');
  });
});

describe('security 9: the dashboard behind keys', { timeout: 60_000 }, () => {
  test('opens to the admin scope alone, by a cookie no script reads, and closes with its key', async (t) => {
    const { router, create, revoke } = await keyed(t);
    const [chat, admin] = [await create('app'), await create('admin', '--scope', 'admin')];
    const get = (path: string, headers = {}) => router.request('GET', path, undefined, headers);
    const page = await get('/dashboard/now');
    assert.deepEqual([page.status, page.headers['location']], [303, '/dashboard/login']);
    for (const view of ['fleet', 'requests', 'live']) assert.equal((await get(`/dashboard/api/${view}`)).status, 401);
    const login = (key: string) => router.request('POST', '/dashboard/login', { key });
    assert.deepEqual([(await login(`${admin}x`)).status, code(await login(chat))], [401, 'scope_missing']);
    const { status, headers } = await login(admin);
    const [cookie = ''] = [headers['set-cookie'] ?? []].flat();
    assert.equal(status, 204);
    assert.match(cookie, /; HttpOnly/i);
    assert.match(cookie, /; SameSite=Strict/i);
    const session = { cookie: cookie.split(';')[0] ?? '' };
    assert.equal((await get('/dashboard/api/fleet', session)).status, 200);
    const logout = (more = {}) => router.request('POST', '/dashboard/logout', {}, { ...session, ...more });
    assert.equal((await logout()).status, 401, 'without its token a session may change nothing');
    assert.equal((await logout({ origin: 'http://evil.example' })).status, 403);
    await revoke('admin');
    const dead = await until(
      'the session is over',
      async () => (await get('/dashboard/api/fleet', session)).status === 401,
    );
    assertWithin(t, 'session over', dead, 1_000);
  });
});

/** Everything a request can say about where it wants to run. */
const wishes: readonly { readonly body?: object; readonly headers?: Record<string, string> }[] = [
  {},
  { body: { model: 'lfo-auto' } },
  { body: { model: 'lfo-cloud' } },
  { body: { model: 'big' } },
  { headers: { 'x-lfo-mode': 'cloud' } },
  { headers: { 'x-lfo-mode': 'auto' } },
  { body: { metadata: { mode: 'cloud' } } },
  { body: { metadata: { mode: 'auto', confidence_threshold: '1' } } },
  { body: { model: 'big', metadata: { mode: 'cloud' } }, headers: { 'x-lfo-mode': 'cloud' } },
];

describe('privacy: a key that is allowed local only', { timeout: 120_000 }, () => {
  test('never reaches the cloud, whatever its requests say and whatever fails; another key does', async (t) => {
    const { router, local, cloud, create } = await keyed(
      t,
      `budgets: { local: { first_token_ms: 300, idle_ms: 300, total_ms: 2000 } }
limits: { answer_tokens: 500 }
retry: { base_delay_ms: 1, max_delay_ms: 2, budget_ratio: 1 }
breaker: { failures: 10000 }
`,
    );
    local.always((exchange) => {
      const { text } = exchange.request;
      const fault = faults[/fault-[a-z0-9-]+/.exec(text)?.[0] ?? ''];
      if (fault !== undefined) return fault(exchange);
      return text.includes('be unsure') ? unsure(exchange) : sure(exchange);
    });
    const [bound, free] = [await create('bound', '--mode', 'local'), await create('free')];
    const prompts = ['Hello', 'be unsure', 'word '.repeat(30_000), ...Object.keys(faults)];
    const answers: Answer[] = [];
    for (const prompt of prompts) {
      const asked = wishes.flatMap(({ body, headers }) =>
        [false, true].map((stream) =>
          router.chat(asking(prompt, { ...body, stream }), { ...headers, ...bearer(bound) }),
        ),
      );
      answers.push(...(await Promise.all(asked)));
    }
    const explained = wishes.map(({ body, headers }) =>
      router.request('POST', '/v1/route', asking('Hello', { ...body }), { ...headers, ...bearer(bound) }),
    );
    for (const { json } of await Promise.all(explained)) assert.notEqual(at(json, 'route'), 'cloud');
    assert.equal(cloud.requests.length, 0);
    assert.ok(answers.some(({ status }) => status === 200));
    for (const { status, headers } of answers) if (status === 200) assert.equal(headers['x-lfo-egress'], 'none');
    for (const prompt of ['be unsure', 'fault-500']) await router.chat(asking(prompt), bearer(free));
    assert.equal(cloud.requests.length, 2);
  });
});
