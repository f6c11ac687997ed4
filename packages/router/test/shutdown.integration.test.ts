import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { type LfoProcess, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { Pool } from 'undici';

interface Serving {
  readonly lfo: LfoProcess;
  readonly pid: number;
  readonly upstream: ScriptedUpstream;
  /** The status of a whole answer. */
  readonly chat: () => Promise<number>;
  /** Begins a stream; resolves to what came of it once it has ended, or `undefined` where it was cut. */
  readonly stream: (signal?: AbortSignal) => Promise<string | undefined>;
  /** Chats that have reached the backend. */
  readonly calls: () => number;
  /** Statuses on record, in order. */
  readonly recorded: () => readonly number[];
  readonly database: string;
}

/** What makes the launcher take the Node it runs on for an old one, and start the one of the package. */
const asOldNode = `--import=data:text/javascript,${encodeURIComponent(
  'delete process.env.NODE_OPTIONS;Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.0.0"}})',
)}`;

async function serve(
  t: TestContext,
  { yaml = '', throughLauncher = false }: { readonly yaml?: string; readonly throughLauncher?: boolean } = {},
): Promise<Serving> {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  upstream.always(answerWith({ deltas: ['Hello.'] }));
  const cwd = workingFolder(t);
  writeFileSync(
    join(cwd, 'lfo.yaml'),
    `${yaml}
backends: [{ name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1", models: [small] }]`,
  );
  const env = { PORT: '0', ...(throughLauncher && { NODE_OPTIONS: asOldNode }) };
  // A group of its own, as a terminal gives each command.
  const lfo = startLfo(t, ['serve'], { cwd, env, under: ['setsid'] });
  const pid = lfo.child.pid ?? assert.fail('it did not start');
  t.after(() => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended, as it should.
    }
  });
  const url = /http:\/\/[^"\s]+:\d+/.exec(await lfo.output(/is ready/))?.[0] ?? assert.fail('no address');
  const pool = new Pool(url, { connections: 64 });
  t.after(() => pool.destroy());
  const ask = (stream: boolean, signal?: AbortSignal) =>
    pool.request({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'lfo-local', stream, messages: [{ role: 'user', content: 'Hello' }] }),
      ...(signal !== undefined && { signal }),
    });
  const database = join(cwd, 'data', 'lfo.db');
  return {
    lfo,
    pid,
    upstream,
    database,
    async chat() {
      const { statusCode, body } = await ask(false);
      await body.dump();
      return statusCode;
    },
    async stream(signal) {
      try {
        return await (await ask(true, signal)).body.text();
      } catch {
        return undefined;
      }
    },
    calls: () => upstream.requests.filter(({ method }) => method === 'POST').length,
    recorded() {
      const rows = new DatabaseSync(database, { readOnly: true });
      try {
        return rows
          .prepare('SELECT status FROM requests ORDER BY status')
          .all()
          .map(({ status }) => Number(status));
      } finally {
        rows.close();
      }
    },
  };
}

/** An answer of `count` pieces, one each 25 ms. */
const lasting = (count: number) =>
  answerWith({ deltas: Array.from({ length: count }, (_, index) => `${index} `), paceMs: 25 });

test('the clients leave with the signal: exit 0, and every request is on record', { timeout: 60_000 }, async (t) => {
  const serving = await serve(t);
  const before = await Promise.all(Array.from({ length: 5 }, serving.chat));
  assert.deepEqual(before, [200, 200, 200, 200, 200]);
  serving.upstream.always((exchange) => exchange.silence());
  const leave = new AbortController();
  const calls = serving.calls();
  const streams = Array.from({ length: 8 }, () => serving.stream(leave.signal));
  while (serving.calls() < calls + 8) await delay(10);
  process.kill(serving.pid, 'SIGTERM');
  await delay(5);
  leave.abort();
  await Promise.all(streams);
  const { code, stderr } = await serving.lfo.finished;
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.deepEqual(serving.recorded(), [
    ...Array.from({ length: 5 }, () => 200),
    ...Array.from({ length: 8 }, () => 499),
  ]);
});

test('a signal in the middle of load: every request that was answered is on record', { timeout: 60_000 }, async (t) => {
  const serving = await serve(t);
  let answered = 0;
  let isSignalled = false;
  // Whole answers and streams, until the router takes no more.
  const client = async (index: number): Promise<void> => {
    try {
      while (true) {
        if (index % 2 === 0 ? (await serving.chat()) === 200 : (await serving.stream())?.includes('[DONE]')) answered++;
        else return;
        if (answered >= 400 && !isSignalled) {
          isSignalled = true;
          process.kill(serving.pid, 'SIGTERM');
        }
      }
    } catch {
      // Its connection was closed.
    }
  };
  await Promise.all(Array.from({ length: 32 }, (_, index) => client(index)));
  const { code } = await serving.lfo.finished;
  assert.equal(code, 0);
  assert.ok(answered >= 400, `${answered} answers`);
  assert.equal(serving.recorded().filter((status) => status === 200).length, answered);
});

test('a collector that hangs holds up neither the end nor the records', { timeout: 60_000 }, async (t) => {
  const collector = createServer(() => {});
  collector.listen(0, '127.0.0.1');
  await once(collector, 'listening');
  t.after(() => {
    collector.closeAllConnections();
    collector.close();
  });
  const address = collector.address();
  assert.ok(typeof address === 'object' && address !== null);
  const serving = await serve(t, { yaml: `telemetry: { otlp_endpoint: "http://127.0.0.1:${address.port}" }` });
  for (let round = 0; round < 12; round++) await Promise.all(Array.from({ length: 64 }, serving.chat));
  process.kill(serving.pid, 'SIGTERM');
  const fromMs = performance.now();
  const { code } = await serving.lfo.finished;
  const ms = performance.now() - fromMs;
  assert.equal(code, 0);
  assert.equal(serving.recorded().length, 768);
  // Three batches of ten seconds each, were each one waited for.
  assert.ok(ms < 25_000, `${Math.round(ms)} ms`);
});

test('one Ctrl-C reaches the launcher and its child, and is one signal', { timeout: 60_000 }, async (t) => {
  const serving = await serve(t, { throughLauncher: true });
  serving.upstream.always(lasting(60));
  const stream = serving.stream();
  while (serving.calls() < 1) await delay(10);
  await delay(100);
  process.kill(-serving.pid, 'SIGINT');
  assert.match((await stream) ?? '', /59[^]*\[DONE\]/, 'the stream comes to its end');
  assert.equal((await serving.lfo.finished).code, 0);
});

test('an idle router ends with 0 however soon the second half of a Ctrl-C comes', { timeout: 120_000 }, async (t) => {
  for (const pauseMs of [0, 10, 25]) {
    const serving = await serve(t);
    process.kill(serving.pid, 'SIGINT');
    await delay(pauseMs);
    serving.lfo.child.kill('SIGINT');
    const { code } = await serving.lfo.finished;
    assert.equal(code, 0, `after ${pauseMs} ms`);
  }
});

test('a second signal ends it now, also while a database is locked', { timeout: 60_000 }, async (t) => {
  const serving = await serve(t, { throughLauncher: true });
  assert.equal(await serving.chat(), 200);
  while (serving.recorded().length < 1) await delay(20);
  serving.upstream.always(lasting(10_000));
  const stream = serving.stream();
  while (serving.calls() < 2) await delay(10);
  process.kill(serving.pid, 'SIGTERM');
  await delay(700);
  const other = new DatabaseSync(serving.database);
  other.exec('BEGIN IMMEDIATE');
  try {
    // Something for the database to wait with.
    serving.upstream.always(answerWith({ deltas: ['Hello.'] }));
    const fromMs = performance.now();
    process.kill(serving.pid, 'SIGTERM');
    const { code } = await serving.lfo.finished;
    const ms = performance.now() - fromMs;
    assert.notEqual(code, 0);
    assert.ok(!/\[DONE\]/.test((await stream) ?? ''), 'what ran is cut');
    assert.ok(ms < 5_000, `${Math.round(ms)} ms`);
  } finally {
    other.close();
  }
});
