import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { request } from 'undici';

import { assertWithin } from '../figure.ts';
import { type LfoProcess, startLfo, workingFolder } from '../lfo-process.ts';
import { asking, startRouter, type TestRouter } from '../router.ts';
import { ScriptedUpstream } from '../scripted-upstream.ts';
import { at, readSse, type ReadStream } from '../sse.ts';
import { faultTest } from './fault-test.ts';
import { until } from './keyed-process.ts';
import {
  assertCleanError,
  assertCut,
  cloudServer,
  eventStream,
  eventually,
  fleetYaml,
  localServer,
  says,
  startPlayer,
  startRig,
  textOf,
  timed,
  type Player,
} from './subject.ts';

interface Serving extends Player {
  readonly lfo: LfoProcess;
  readonly url: string;
  readonly cwd: string;
  readonly stream: () => Promise<ReadStream & { readonly id: string }>;
}

/** The real command line in front of one local server. */
async function serve(t: TestContext, yaml = ''): Promise<Serving> {
  const player = await startPlayer(t, localServer);
  const cwd = workingFolder(t);
  writeFileSync(join(cwd, 'lfo.yaml'), fleetYaml([localServer.entry(player.upstream.origin)], yaml));
  const lfo = startLfo(t, ['serve'], { cwd, env: { PORT: '0' } });
  const url = /http:\/\/[^"\s]+:\d+/.exec(await lfo.output(/http:\/\/[^"\s]+:\d+/))?.[0] ?? assert.fail('no address');
  const stream: Serving['stream'] = async () => {
    const response = await request(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(asking('Hello', { model: 'lfo-local', stream: true })),
    });
    return { ...readSse(await response.body.text()), id: String(response.headers['x-request-id']) };
  };
  return { ...player, lfo, url, cwd, stream };
}

async function isListening(url: string): Promise<boolean> {
  const answer = await request(`${url}/health`).catch(() => undefined);
  await answer?.body.dump();
  return answer !== undefined;
}

const parts =
  (count: number) =>
  (player: Player): void =>
    player.play(async (exchange) => {
      exchange.head(200, eventStream);
      for (let part = 0; part < count && exchange.end === undefined; part++) {
        await exchange.write(localServer.text('x'));
        await exchange.pause(25);
      }
      exchange.finish(localServer.end);
    });

faultTest(
  {
    row: 47,
    what: '20 streams come to their end, nobody else gets in, then it exits',
    bound: 'exit 0 within the streams + 3 s',
  },
  async (t) => {
    const serving = await serve(t);
    parts(60)(serving);
    const streams = Array.from({ length: 20 }, serving.stream);
    await eventually('they run', () => serving.calls() === 20);
    await delay(200);
    serving.lfo.child.kill('SIGTERM');
    await until('the listener is closed', async () => !(await isListening(serving.url)));
    const answers = await Promise.all(streams);
    assert.ok(answers.every((answer) => answer.isDone && textOf({ ...answer, json: undefined }).length === 60));
    const [{ code }, ms] = await timed(serving.lfo.finished);
    assert.equal(code, 0);
    assertWithin(t, 'exit after the last stream', ms, 3000);
  },
);

faultTest(
  { row: 47, what: 'streams still running at the deadline end in an error frame', bound: 'grace + 3 s; exit 0' },
  async (t) => {
    const serving = await serve(t, 'server: { shutdown_grace_ms: 400 }');
    parts(10_000)(serving);
    const streams = Array.from({ length: 20 }, serving.stream);
    await eventually('they run', () => serving.calls() === 20);
    await delay(200);
    serving.lfo.child.kill('SIGTERM');
    const [answers, ms] = await timed(Promise.all(streams));
    for (const answer of answers) {
      assertCleanError(answer.chunks.at(-1), 'shutting_down', 'lfo');
      assert.equal(answer.isDone, false);
    }
    assertWithin(t, 'last error frame', ms, 2000);
    assert.equal((await serving.lfo.finished).code, 0);
  },
);

faultTest({ row: 47, what: 'a second SIGTERM ends it now', bound: '1 s' }, async (t) => {
  const serving = await serve(t);
  parts(10_000)(serving);
  const stream = serving.stream().catch(() => undefined);
  await eventually('it runs', () => serving.calls() === 1);
  serving.lfo.child.kill('SIGTERM');
  await serving.lfo.output(/Shutting down/);
  await delay(700); // signals closer together than 500 ms are one meant
  serving.lfo.child.kill('SIGTERM');
  const [{ code }, ms] = await timed(serving.lfo.finished);
  assert.notEqual(code, 0);
  assertWithin(t, 'exit after the second signal', ms, 1000);
  await stream;
});

faultTest(
  { row: 65, what: 'two signals at once are one: streams end well and each is on record', bound: 'exit 0' },
  async (t) => {
    const serving = await serve(t);
    parts(40)(serving);
    const streams = Array.from({ length: 8 }, serving.stream);
    await eventually('they run', () => serving.calls() === 8);
    // As a terminal's Ctrl-C reaches a launcher and the router, and the launcher passes it on.
    serving.lfo.child.kill('SIGINT');
    await delay(100);
    serving.lfo.child.kill('SIGINT');
    const answers = await Promise.all(streams);
    assert.ok(answers.every(({ isDone }) => isDone));
    assert.equal((await serving.lfo.finished).code, 0);
    const database = new DatabaseSync(join(serving.cwd, 'data', 'lfo.db'), { readOnly: true });
    t.after(() => database.close());
    const found = database.prepare('select 1 as one from requests where id = ?');
    for (const { id } of answers) assert.ok(found.get(id) !== undefined, `${id} is not on record`);
  },
);

faultTest(
  { row: 48, what: 'a broken file changes nothing, a good one takes effect', bound: 'next request' },
  async (t) => {
    const { router, play } = await startRig(t, localServer, { yaml: 'limits: { concurrency: 1 }' });
    const file = join(router.folder, 'lfo.yaml');
    const good = readFileSync(file, 'utf8');
    for (const broken of ['limits: { concurrency: many', 'limits: { concurency: 2 }', 'limits: { concurrency: -1 }']) {
      writeFileSync(file, broken);
      assert.equal(router.config.reload().type, 'refused');
      assert.equal((await router.chat(asking('Hello', { model: 'lfo-local' }))).status, 200);
    }
    /** Two requests at once, the first of which the backend answers when the other is refused or has come as well. */
    const twice = async (): Promise<number[]> => {
      const { promise: bothCame, resolve } = Promise.withResolvers<void>();
      let came = 0;
      play(async (exchange) => {
        if (++came === 2) resolve();
        await bothCame;
        await says(localServer, 'well')(exchange);
      });
      const ask = async (): Promise<number> => {
        const { status } = await router.chat(asking('Hello', { model: 'lfo-local' }));
        if (status === 503) resolve();
        return status;
      };
      return (await Promise.all([ask(), ask()])).toSorted((a, b) => a - b);
    };
    assert.deepEqual(await twice(), [200, 503]);
    writeFileSync(file, good.replace('concurrency: 1', 'concurrency: 2'));
    assert.equal(router.config.reload().type, 'applied');
    assert.deepEqual(await twice(), [200, 200]);
  },
);

/** A router with an embedded model that cannot be loaded, and a cloud. */
async function withoutModel(t: TestContext, env: Readonly<Record<string, string>>): Promise<TestRouter> {
  const cloud = await ScriptedUpstream.start(says(cloudServer, 'from the cloud'));
  t.after(() => cloud.close());
  return await startRouter(t, { yaml: fleetYaml([cloudServer.entry(cloud.origin)]), env });
}

async function assertServesTheRest(router: TestRouter, why: RegExp): Promise<void> {
  const embedded = async (): Promise<string> => (await router.request('GET', '/ready')).text;
  for (let look = 0; look < 300 && !why.test(await embedded()); look++) await delay(100);
  assert.match(await embedded(), why);
  const local = await router.chat(asking('Hello', { model: 'lfo-local' }), { 'x-lfo-deadline-ms': '3000' });
  assert.equal(local.status, 503, local.text);
  assert.equal(textOf(await router.chat(asking('Hello'))), 'from the cloud');
  assert.equal((await router.request('GET', '/health')).status, 200);
}

faultTest(
  { row: 54, what: 'a missing model file is named, the cloud serves', bound: '503 for local, 200 for the rest' },
  async (t) => {
    await assertServesTheRest(
      await withoutModel(t, { LFO_LOCAL_MODEL: '/nowhere/absent.gguf' }),
      /embedded: There is no model file/,
    );
  },
);

faultTest(
  {
    row: 54,
    what: 'a truncated model file is told from a whole one, the cloud serves',
    bound: '503 for local, 200 for the rest',
  },
  async (t) => {
    const file = join(workingFolder(t), 'cut.gguf');
    writeFileSync(file, Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0]), Buffer.alloc(40)]));
    await assertServesTheRest(
      await withoutModel(t, { LFO_LOCAL_MODEL: file }),
      /embedded: .*(gguf|damaged|broken|truncated|incomplete|tensors)/i,
    );
  },
);

faultTest(
  {
    row: 54,
    what: 'a download of the wrong hash is refused, the cloud serves',
    bound: '503 for local, 200 for the rest',
  },
  async (t) => {
    const file = `GGUF${'x'.repeat(1000)}`;
    const mirror = await ScriptedUpstream.start((exchange) => {
      exchange.head(200, { 'content-length': String(file.length), 'x-linked-etag': `"${'0'.repeat(64)}"` });
      exchange.finish(exchange.request.method === 'HEAD' ? '' : file);
    });
    t.after(() => mirror.close());
    const router = await withoutModel(t, {
      LFO_LOCAL_MODEL: 'hf:some/model/other.gguf',
      LFO_MODEL_BASE_URL: mirror.origin,
    });
    await assertServesTheRest(router, /embedded: .*not the published file/);
  },
);

/** The process that hosts this router's model (proc(5)). */
function hostPid(): number {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
  const host = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('lfo-device-host'));
  return Number(host ?? assert.fail('no host runs'));
}

const skipWithoutProc = process.platform === 'linux' ? undefined : 'needs proc(5)';
const embedded = {
  env: { LFO_LOCAL_MODEL: 'smollm2-135m' },
  childOptions: { engine: 'scripted', scripted: { partMs: 20, words: 300 } },
};

faultTest(
  {
    row: 54,
    what: 'a killed model process costs what ran on it; it comes back by itself',
    bound: 'error frame in 500 ms; back in 5 s',
    skip: skipWithoutProc,
  },
  async (t) => {
    const router = await startRouter(t, embedded);
    await router.ready;
    const cut = router.stream(asking('Hello', { model: 'lfo-local' }));
    await delay(1_000);
    process.kill(hostPid(), 'SIGKILL');
    const [answer, ms] = await timed(cut);
    assertCut(answer, 'upstream_cut');
    assertWithin(t, 'error frame', ms, 500);
    const [next, backMs] = await timed(router.chat(asking('Again', { model: 'lfo-local', max_tokens: 3 })));
    assert.equal(next.status, 200, next.text);
    assertWithin(t, 'back again', backMs, 5000);
  },
);

faultTest(
  {
    row: 9,
    what: 'embedded model: a process that stops answering is noticed',
    bound: 'idle budget + 600 ms',
    skip: skipWithoutProc,
  },
  async (t) => {
    const router = await startRouter(t, { ...embedded, yaml: 'budgets: { local: { idle_ms: 500 } }' });
    await router.ready;
    const stalled = router.stream(asking('Hello', { model: 'lfo-local' }));
    await delay(1_000);
    const pid = hostPid();
    process.kill(pid, 'SIGSTOP');
    const [answer, ms] = await timed(stalled).finally(() => process.kill(pid, 'SIGCONT'));
    assertCut(answer, 'upstream_timeout');
    assertWithin(t, 'noticed', ms, 1100);
  },
);

faultTest(
  { row: 32, what: 'embedded model: leaving frees its slot', bound: '250 ms + one token', skip: skipWithoutProc },
  async (t) => {
    const router = await startRouter(t, { ...embedded, yaml: 'embedded: { slots: 1 }' });
    await router.ready;
    const left = router.stream(asking('Hello', { model: 'lfo-local' }), { 'x-lfo-deadline-ms': '300' });
    assert.equal((await left).isDone, false);
    const [next, ms] = await timed(router.chat(asking('Again', { model: 'lfo-local', max_tokens: 2 })));
    assert.equal(next.status, 200);
    assertWithin(t, 'next answer, of which two tokens take 40', ms, 500);
    assert.equal(at(next.json, 'lfo_metadata', 'backend'), 'embedded');
  },
);
