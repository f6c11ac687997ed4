import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { runLfo } from '@lfo/testing/lfo-process.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { request } from 'undici';

const postgres = postgresOfFile();
const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02], paceMs: 1 });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9], paceMs: 1 });
const answer = answerWith({
  deltas: ['Canberra'],
  usage: { prompt_tokens: 30, completion_tokens: 10, total_tokens: 40 },
});

interface Team {
  readonly chat: (key: string | undefined, body: Readonly<Record<string, unknown>>) => Promise<Chat>;
  readonly lfo: (...args: readonly string[]) => Promise<string>;
  readonly keys: { readonly alice: string; readonly ben: string };
  readonly local: ScriptedUpstream;
  readonly cloud: ScriptedUpstream;
  readonly url: string;
}

interface Chat {
  readonly status: number;
  readonly id: string;
}

/** A router with both tiers and two keys, and the command line on its database. */
async function team(t: TestContext, databaseUrl: string | undefined): Promise<Team> {
  const local = await ScriptedUpstream.start(sure);
  const cloud = await ScriptedUpstream.start(answer);
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const database = databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl };
  const router = await startRouter(t, {
    yaml: `prices:
  big: { prompt: 1000, cached: 1000, completion: 1000 }
retry: { max_retries: 0 }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`,
    env: { ...database, LFO_ROUTER_NAME: 'desk' },
  });
  const env = { ...database, LFO_DATA_DIR: join(router.folder, 'data') };
  const lfo = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runLfo(t, args, { cwd: router.folder, env });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  const create = async (name: string, ...limits: readonly string[]): Promise<string> =>
    lfo('keys', 'create', '--name', name, ...limits);
  const keys = { alice: await create('alice'), ben: await create('ben', '--requests-per-day', '3') };
  const bearer = (key: string | undefined) => (key === undefined ? {} : { authorization: `Bearer ${key}` });
  await until(
    'the keys are known',
    async () => (await router.request('GET', '/v1/models', undefined, bearer(keys.ben))).status === 200,
  );
  const chat: Team['chat'] = async (key, body) => {
    const { status, headers } = await router.chat(body, bearer(key));
    return { status, id: String(headers['x-request-id']) };
  };
  return { chat, lfo, keys, local, cloud, url: router.app.url };
}

const databases = [
  { name: 'SQLite', skip: false, url: async () => undefined },
  { name: 'PostgreSQL', skip: withoutPostgres, url: () => postgres().database() },
] as const;

for (const { name, skip, url } of databases) {
  describe(`what scripts rely on, ${name}`, { skip, timeout: 120_000 }, () => {
    test('every request is answered, failed, refused or left, by key and in all; each is found by its id', async (t) => {
      const { chat, lfo, keys, local, cloud, url: address } = await team(t, await url());
      const { alice, ben } = keys;
      assert.equal((await chat(alice, asking('What is 2+2?'))).status, 200);
      local.always(unsure);
      const escalated = await chat(alice, asking('Capital of Australia?'));
      assert.equal(escalated.status, 200);
      assert.equal((await chat(ben, asking('Capital of Australia?', { model: 'lfo-cloud' }))).status, 200);
      const unreadable = await chat(alice, { messages: 'nothing' });
      const unknown = await chat(ben, asking('Hi', { model: 'no-such-model' }));
      cloud.always((exchange) => exchange.json(500, {}));
      const failed = await chat(ben, asking('Hi', { model: 'lfo-cloud' }));
      local.always(async (exchange) => exchange.pause(5_000));
      const leaving = new AbortController();
      const left = request(`${address}/v1/chat/completions`, {
        method: 'POST',
        signal: leaving.signal,
        headers: { authorization: `Bearer ${ben}`, 'content-type': 'application/json' },
        body: JSON.stringify(asking('Hi', { model: 'lfo-local' })),
      }).catch(() => undefined);
      await local.received(local.requests.length + 1);
      leaving.abort();
      await left;
      const limited = await chat(ben, asking('Hi', { model: 'lfo-local' }));
      const wrong = await chat('lfo_0123456789ab_0123456789012345678901234567890123456789', asking('Hi'));
      assert.deepEqual(
        [unreadable, unknown, failed, limited, wrong].map(({ status }) => status),
        [400, 404, 502, 429, 401],
      );

      let stats: Record<string, never> = {};
      await until('all are stored', async () => {
        stats = JSON.parse(await lfo('stats', '--by', 'key', '--json'));
        return stats['requests'] === 9;
      });
      const counts = (of: Readonly<Record<string, unknown>>) =>
        ['requests', 'answered', 'local', 'cloud', 'escalated', 'failed', 'refused', 'left'].map((each) => of[each]);
      assert.deepEqual(counts(stats), [9, 3, 1, 2, 1, 1, 4, 1]);
      const groups: readonly Record<string, unknown>[] = stats['groups'] ?? [];
      assert.deepEqual(
        groups.map((group) => [group['key'], ...counts(group)]),
        [
          ['ben', 5, 1, 0, 1, 0, 1, 2, 1],
          ['alice', 3, 2, 1, 1, 1, 0, 1, 0],
          [null, 1, 0, 0, 0, 0, 0, 1, 0],
        ],
      );
      const { latency_ms: latency, escalated_local_ms: lost } = JSON.parse(await lfo('stats', '--json'));
      assert.ok(latency.local.p50 > 0 && latency.cloud.p50 > 0 && latency.escalated.p50 > 0 && lost > 0);
      assert.ok(lost < latency.escalated.p99 * 1.1);
      assert.equal(
        stats['prompt_tokens'],
        groups.reduce((sum, group) => sum + Number(group['prompt_tokens']), 0),
      );
      const byModel = JSON.parse(await lfo('stats', '--by', 'model', '--since', '1h', '--json'));
      assert.deepEqual(byModel.groups.map(({ key }: { key: unknown }) => key).toSorted(), ['big', null, 'small']);
      // The very minute of the requests is cut where the span begins.
      const later = new Date(Date.now() + 1_000).toISOString();
      assert.equal(JSON.parse(await lfo('stats', '--since', later, '--json')).requests, 0);

      const rows = (await lfo('requests', '--json')).split('\n').map((line) => JSON.parse(line));
      assert.equal(rows.length, 9);
      const row = (id: string) => {
        const { status, reason, client_key: key, backend, path } = rows.find((each) => each.id === id) ?? {};
        return [status, reason, key, backend, path];
      };
      assert.deepEqual(
        [unreadable, unknown, limited, wrong].map(({ id }) => row(id)),
        [
          [400, 'invalid_value', 'alice', null, '/v1/chat/completions'],
          [404, 'model_not_found', 'ben', null, '/v1/chat/completions'],
          [429, 'rate_limit_exceeded', 'ben', null, '/v1/chat/completions'],
          [401, 'invalid_api_key', null, null, '/v1/chat/completions'],
        ],
      );
      const one = JSON.parse(await lfo('requests', escalated.id, '--json'));
      assert.deepEqual(
        [one.route, one.client_key, one.router, one.dialect, one.attempts.length],
        ['cloud', 'alice', 'desk', 'openai-chat', 2],
      );
      assert.match(await lfo('requests', escalated.id.slice(-8)), /low_confidence: [^\n]+\n[^]*attempts +local · near/);
      const widest = Math.max(...(await lfo('requests')).split('\n').map((line) => line.length));
      assert.ok(widest <= 100, `${widest} columns`);
    });

    test('keys tell their last use and the use of their limits, and limits change while they are used', async (t) => {
      const { chat, lfo, keys } = await team(t, await url());
      const listed = async () => JSON.parse(await lfo('keys', 'list', '--json')).keys[1];
      assert.equal((await listed()).last_used, null);
      const before = Date.now();
      assert.equal((await chat(keys.ben, asking('What is 2+2?'))).status, 200);
      await until('the use is stored', async () => (await listed()).used.requests_per_day === 1);
      const { name: key, last_used: lastUsed, used, limits } = await listed();
      assert.deepEqual([key, limits], ['ben', { requests_per_day: 3 }]);
      assert.ok(Date.parse(lastUsed) >= before - 1_000);
      assert.ok(used.tokens_per_day > 0 && used.requests_per_minute === 1);
      await lfo('keys', 'set', '--name', 'ben', '--requests-per-day', '1', '--usd-per-day', '2.5');
      assert.deepEqual((await listed()).limits, { requests_per_day: 1, usd_per_day: 2.5 });
      await until('the limit holds', async () => (await chat(keys.ben, asking('Hi'))).status === 429);
      await lfo('keys', 'set', '--name', 'ben', '--requests-per-day', 'none', '--usd-per-day', 'none');
      assert.deepEqual((await listed()).limits, {});
      await until('the limit is gone', async () => (await chat(keys.ben, asking('Hi'))).status === 200);
    });
  });
}
