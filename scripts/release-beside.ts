/**
 * Whether the release before and this one run on one database together, whoever starts first:
 * `node scripts/release-beside.ts <checkout of the release before, installed>`. Needs a PostgreSQL server. Ends with 1 where
 * a request fails, a limit is not counted together, or the database has written an error into its log.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KeyTable } from '@lfo/router/src/keys/key-table.ts';
import { PostgresStore } from '@lfo/router/src/records/store/postgres-store.ts';
import { listenTo } from '@lfo/testing/listen-to.ts';
import { startPostgres } from '@lfo/testing/postgres.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';

const before = process.argv[2];
if (before === undefined) {
  console.error('usage: node scripts/release-beside.ts <checkout of the release before>');
  process.exit(2);
}
const checkouts = { before: resolve(before), now: resolve(import.meta.dirname, '..') } as const;
const names = ['before', 'now'] as const;
type Name = (typeof names)[number];

const ownerKey = 'the-key-of-the-owner-of-both-releases';
const limit = 30;
const folder = mkdtempSync(join(tmpdir(), 'lfo-beside-'));
const postgres = await startPostgres();
const upstream = await ScriptedUpstream.start();
const running: ChildProcess[] = [];

try {
  for (const order of [names, names.toReversed()]) {
    await runBeside(order);
    for (const child of running.splice(0)) if (child.kill('SIGTERM')) await once(child, 'exit');
  }
  assert.deepEqual(postgres.errors(), [], 'the log of the database');
} finally {
  for (const child of running) child.kill('SIGKILL');
  await upstream.close();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function runBeside(order: readonly Name[]): Promise<void> {
  const databaseUrl = await postgres.database();
  const urls: Partial<Record<Name, string>> = {};
  for (const name of order) urls[name] = await start(name, databaseUrl);
  const store = new PostgresStore(databaseUrl);
  const created = { name: 'limited', scopes: ['chat'] as const, limits: { requestsPerDay: limit } };
  const { text: key } = await new KeyTable(store).create(created, Date.now());
  // Each hears of the key, and of the other.
  await delay(3_000);
  const statuses: number[] = [];
  for (let turn = 0; turn < limit; turn++) {
    for (const name of names) {
      assert.equal(await chat(urls[name], ownerKey), 200, name);
      statuses.push(await chat(urls[name], key));
    }
  }
  assert.equal(statuses.filter((status) => status === 200).length, limit, 'a limit is counted together');
  await delay(1_000);
  const rows = await store.db.selectFrom('requests').select('router').where('turned_away', '=', 0).execute();
  await store.close();
  for (const name of names) assert.ok(rows.filter(({ router }) => router === name).length >= limit, `rows of ${name}`);
  console.log(`${order.join(' first, then ')}: ${rows.length} requests answered and on record, the limit held`);
}

async function start(name: Name, databaseUrl: string): Promise<string> {
  const cwd = mkdtempSync(join(folder, 'router-'));
  const entry = `{ name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1" }`;
  writeFileSync(join(cwd, 'lfo.yaml'), `backends:\n  - ${entry}\n`);
  const env = {
    PATH: process.env['PATH'],
    HOME: cwd,
    PORT: '0',
    DATABASE_URL: databaseUrl,
    LFO_AUTH_TOKEN: ownerKey,
    LFO_ROUTER_NAME: name,
    LFO_LOCAL_MODEL: 'none',
    LFO_DATA_DIR: join(cwd, 'data'),
    LFO_FLEET_LISTEN: 'off',
  };
  const main = join(checkouts[name], 'packages/router/src/main.ts');
  const child = spawn(process.execPath, [main, 'serve'], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  running.push(child);
  const [, url = ''] = await listenTo(child).until(/"url":"(http:[^"]+)"/);
  return url;
}

async function chat(url: string | undefined, key: string): Promise<number> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'scripted', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await answer.text();
  return answer.status;
}
