import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { request } from 'undici';

import { workingFolder } from '../lfo-process.ts';
import { asking } from '../router.ts';
import { ScriptedUpstream } from '../scripted-upstream.ts';
import { at, readSse } from '../sse.ts';
import { childOf, startTroubles } from '../stress/stress-troubles.ts';
import { StressTraffic } from '../stress/stress-traffic.ts';
import { type Mood, stressScript } from '../stress/stress-upstream.ts';
import { scaled } from '../test-scale.ts';
import { faultTest } from './fault-test.ts';
import { type KeyedProcess, known, serveKeyed, until } from './keyed-process.ts';
import { cloudServer, fleetYaml, geminiCloud, localServer, shortBudgets } from './subject.ts';

const runMs = scaled({ always: 60_000, full: 180_000 });
const clients = 24;
const mebibyte = 1024 * 1024;

/** The real command line, but its model is a script: `app.ts` is told so while it is loaded. */
const scriptedChild = JSON.stringify([
  {
    file: '/router/src/main.ts',
    find: 'childEnv: withoutSecrets(process.env),',
    replace:
      "childEnv: withoutSecrets(process.env), childOptions: { engine: 'scripted', scripted: { partMs: 5, words: 20 } },",
  },
]);

async function startBackends(t: TestContext, moods: () => readonly Mood[]) {
  const leaks: string[] = [];
  const subjects = [localServer, cloudServer, geminiCloud];
  const entries = subjects.map(async (subject, index) => {
    const seen = (prompt: string): void => {
      if (subject.tier === 'cloud' && !/in-mode-(auto|cloud)/.test(prompt)) leaks.push(`${subject.name}: ${prompt}`);
    };
    const upstream = await ScriptedUpstream.start(stressScript(subject, () => moods()[index] ?? 'well', seen));
    t.after(() => upstream.close());
    return subject.entry(upstream.origin);
  });
  return { leaks, entries: await Promise.all(entries) };
}

/** A stream whose head has come; it is read to its end when asked to. */
async function begun(router: KeyedProcess, key: string) {
  const { headers, body } = await request(`${router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(asking('Hello', { model: 'lfo-local', stream: true })),
  });
  const text = body.text();
  return async () => {
    const { chunks, isDone } = readSse(await text);
    return { id: String(headers['x-request-id']), isDone, error: at(chunks.at(-1), 'error', 'code') };
  };
}

/** What the process holds at rest: bytes after a collection, and descriptors. */
async function vitalsOf(
  router: KeyedProcess,
  file: string,
): Promise<{ readonly bytes: number; readonly open: number }> {
  rmSync(file, { force: true });
  router.lfo.child.kill('SIGUSR2');
  await until('the vitals are written', () => Promise.resolve(existsSync(file)));
  return { bytes: Number(readFileSync(file, 'utf8')), open: readdirSync(`/proc/${router.lfo.child.pid}/fd`).length };
}

faultTest(
  {
    row: 68,
    what: 'mixed traffic while backends flap, the configuration reloads, keys are revoked, the child is killed and stopped, the database is locked',
    bound: 'one minute, three in the full run; + 30 MB, + 40 descriptors',
    skip: process.platform === 'linux' ? undefined : 'needs proc(5)',
    timeoutMs: runMs + 110_000,
  },
  async (t) => {
    let moods: readonly Mood[] = [];
    const { leaks, entries } = await startBackends(t, () => moods);
    const cwd = workingFolder(t);
    const vitals = join(cwd, 'vitals');
    const configurations = [1500, 800].map((tokens) =>
      fleetYaml(
        entries,
        `${shortBudgets}limits: { queue: ${tokens}, failed_auth_per_minute: 1000000 }
routing: { max_local_tokens: ${tokens} }
breaker: { failures: 4, open_ms: 300, max_open_ms: 1000 }`,
      ),
    );
    const [one = '', two = ''] = configurations;
    const hooks = ['mutate.ts', 'stress/vitals.ts'].map((path) => `--import=${new URL(`../${path}`, import.meta.url)}`);
    const router = await serveKeyed(t, {
      cwd,
      yaml: one,
      env: {
        LFO_LOCAL_MODEL: 'smollm2-135m',
        LFO_TEST_MUTATIONS: scriptedChild,
        LFO_TEST_VITALS: vitals,
        NODE_OPTIONS: hooks.join(' '),
      },
    });
    const keys = [await router.run('keys', 'create', '--name', 'a'), await router.run('keys', 'create', '--name', 'b')];
    await known(router, keys[0] ?? '');
    await until('the child runs', () => Promise.resolve(childOf(router.lfo.child.pid) !== undefined));

    // What a first round of everything allocates once is not growth.
    const first = new StressTraffic(router.url, () => keys.map((value) => ({ value })), clients);
    await delay(3_000);
    const calm = await first.stop();
    assert.deepEqual(calm.wrong, [], 'before any trouble');
    await delay(1_000);
    const before = await vitalsOf(router, vitals);

    const troubles = startTroubles({ router, keys, backends: entries.length, configurations: [one, two] });
    ({ moods } = troubles);
    const traffic = new StressTraffic(router.url, () => troubles.keys, clients);
    await delay(runMs);
    await troubles.stop();
    const { counts, answered, wrong } = await traffic.stop();
    const said = [...counts, ...troubles.counts].toSorted(([a], [b]) => a.localeCompare(b));
    t.diagnostic(said.map(([what, count]) => `${what}: ${count}`).join(', '));
    await until('it answers again', async () => (await router.chat(keys[0])).status === 200);
    await delay(2_000);
    const after = await vitalsOf(router, vitals);
    const grown = (after.bytes - before.bytes) / mebibyte;
    t.diagnostic(`${grown.toFixed(1)} MiB and ${after.open - before.open} descriptors more`);

    const running = await Promise.all(Array.from({ length: 8 }, () => begun(router, keys[0] ?? '')));
    router.lfo.child.kill('SIGTERM');
    const { code } = await router.lfo.finished;
    for (const end of running) {
      const { id, isDone, error } = await end();
      answered.push(id);
      if (isDone === (error !== undefined))
        wrong.push(`a stream while it drained: done ${isDone}, error ${String(error)}`);
    }

    const database = new DatabaseSync(join(cwd, 'data', 'lfo.db'), { readOnly: true });
    t.after(() => database.close());
    const found = database.prepare('select 1 as one from requests where id = ?');
    const missing = answered.filter((id) => found.get(id) === undefined);

    assert.ok(answered.length > clients * 20, `${answered.length} answers show little`);
    const broken = {
      'no local request at the cloud': leaks,
      'every answer is well-formed': wrong,
      'every trouble is overcome': troubles.wrong,
      'every answered request is on record': missing,
      'it exits with 0': code === 0 ? [] : [`code ${code}`],
      'memory is flat': grown < 30 ? [] : [`${grown} MiB more`],
      'descriptors are flat': after.open - before.open < 40 ? [] : [`${after.open - before.open} more`],
      'no fault of its own': router.log().match(/.*("level":"fatal"|fault of its own).*/g) ?? [],
    };
    assert.deepEqual(
      Object.entries(broken).flatMap(([rule, cases]) =>
        cases.length === 0 ? [] : [[rule, cases.length, cases.slice(0, 5)]],
      ),
      [],
    );
  },
);
