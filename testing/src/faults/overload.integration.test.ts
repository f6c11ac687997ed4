import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { systemClock } from '@lfo/router/src/core/clock.ts';
import { request } from 'undici';

import { assertFigure, assertWithin } from '../figure.ts';
import { startLfo, workingFolder } from '../lfo-process.ts';
import { at } from '../sse.ts';
import { faultTest } from './fault-test.ts';
import { percentile } from './percentile.ts';
import {
  assertCleanError,
  cloudServer,
  eventStream,
  eventually,
  fleetYaml,
  hello,
  localServer,
  says,
  shortBudgets,
  slowly,
  startPlayer,
  startRig,
  textOf,
  timed,
} from './subject.ts';

faultTest(
  { row: 39, what: 'a full queue refuses at once and says when to come back', bound: '10 ms (median of 50)' },
  async (t) => {
    const { router, play, calls } = await startRig(t, localServer, {
      entry: ', concurrency: 2',
      yaml: 'limits: { queue: 4 }',
    });
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    play(async (exchange) => {
      await over;
      await says(localServer, 'at last')(exchange);
    });
    const hanging = Array.from({ length: 6 }, () => router.chat(hello(localServer)));
    await eventually('two run', () => calls() === 2);
    await delay(100);
    const took: number[] = [];
    for (let i = 0; i < 50; i++) {
      const [answer, ms] = await timed(router.chat(hello(localServer)));
      assert.equal(answer.status, 503);
      assertCleanError(answer.json, 'overloaded', 'lfo');
      assert.equal(answer.headers['retry-after'], '1');
      took.push(ms);
    }
    assertWithin(t, 'median refusal', percentile(took, 0.5), 10);
    assert.equal(calls(), 2);
    end();
    for (const { status } of await Promise.all(hanging)) assert.equal(status, 200);
  },
);

faultTest(
  {
    row: 39,
    what: 'more requests than may run are refused before their bodies are read',
    bound: '10 ms (median of 50)',
  },
  async (t) => {
    const { router, play, calls } = await startRig(t, localServer, { yaml: 'limits: { concurrency: 3 }' });
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    play(async (exchange) => {
      await over;
      await says(localServer, 'at last')(exchange);
    });
    const hanging = Array.from({ length: 3 }, () => router.chat(hello(localServer)));
    await eventually('three run', () => calls() === 3);
    const took: number[] = [];
    for (let i = 0; i < 50; i++) {
      const [answer, ms] = await timed(router.chat({ ...hello(localServer), unknown: 'x'.repeat(10_000) }));
      assert.equal(answer.status, 503);
      assert.equal(at(answer.json, 'error', 'code'), 'overloaded');
      took.push(ms);
    }
    assertWithin(t, 'median refusal', percentile(took, 0.5), 10);
    assert.equal((await router.request('GET', '/health')).status, 200);
    end();
    for (const { status } of await Promise.all(hanging)) assert.equal(status, 200);
  },
);

faultTest(
  { row: 39, what: 'ten times the load leaves the throughput', bound: 'goodput ≥ 80 % of the peak' },
  async (t) => {
    const { router, play } = await startRig(t, localServer, {
      entry: ', concurrency: 4',
      yaml: 'limits: { queue: 8 }\nlog_level: warn',
    });
    play(slowly(localServer, 80));
    const goodput = async (clients: number): Promise<number> => {
      const endMs = performance.now() + 2500;
      let good = 0;
      const client = async (): Promise<void> => {
        while (performance.now() < endMs) {
          const answer = await router.chat(hello(localServer));
          if (answer.status === 200) good++;
          else await delay(150 + Math.random() * 150);
        }
      };
      await Promise.all(Array.from({ length: clients }, client));
      return good;
    };
    await goodput(4);
    const peak = await goodput(4);
    const loaded = await goodput(40);
    assertFigure(t, { what: 'goodput', value: (loaded / peak) * 100, unit: '% of the peak', bound: 80, is: 'least' });
  },
);

faultTest(
  { row: 42, what: 'a stall breaks no stream, and health reports it', bound: '500 ms; 0 of 20 streams' },
  async (t) => {
    const { router, play, calls } = await startRig(t, localServer, { yaml: shortBudgets });
    const bell = Promise.withResolvers<void>();
    play(async (exchange) => {
      exchange.head(200, eventStream);
      for (let part = 0; part < 60; part++) {
        await exchange.write(localServer.text('x'));
        await exchange.pause(15);
        if (part === 10) bell.resolve();
      }
      exchange.finish(localServer.end);
    });
    assert.equal(at((await router.request('GET', '/health')).json, 'status'), 'ok');
    const streams = Array.from({ length: 20 }, () => router.stream(hello(localServer)));
    await eventually('they run', () => calls() === 20);
    await bell.promise;
    for (const untilMs = performance.now() + 500; performance.now() < untilMs;);
    const answers = await Promise.all(streams);
    assert.equal(answers.filter(({ isDone }) => isDone).length, 20);
    assert.ok(answers.every((answer) => textOf(answer).length === 60));
    assert.equal(at((await router.request('GET', '/health')).json, 'status'), 'degraded');
  },
);

faultTest(
  { row: 41, what: 'nothing but records looks at the wall clock', bound: '± 2 h; no negative latency' },
  async (t) => {
    let jumpMs = 0;
    const clock = { ...systemClock, wallMs: () => Date.now() + jumpMs };
    const { router, play, calls } = await startRig(t, cloudServer, {
      clock,
      yaml: 'retry: { max_retries: 0 }\nbreaker: { failures: 1, open_ms: 1000 }',
    });
    for (const jump of [-7_200_000, 7_200_000]) {
      const before = calls();
      play(
        async (exchange) => {
          jumpMs += jump;
          await says(cloudServer, 'at any time')(exchange);
        },
        (exchange) => exchange.json(500, {}),
        says(cloudServer, 'and after'),
      );
      const answer = await router.chat(hello(cloudServer));
      const latencyMs = Number(at(answer.json, 'lfo_metadata', 'latency_ms'));
      assert.ok(latencyMs >= 0 && latencyMs < 5000, `${latencyMs} ms`);
      await router.chat(hello(cloudServer));
      jumpMs += jump;
      assert.equal((await router.chat(hello(cloudServer))).status, 503, 'still open');
      await delay(1050);
      assert.equal(textOf(await router.chat(hello(cloudServer))), 'and after');
      assert.equal(calls() - before, 3);
      await delay(1050); // away again sooner than that, it would flap
    }
  },
);

faultTest(
  {
    row: 43,
    what: 'out of descriptors, LFO neither dies nor spins, and recovers',
    bound: 'CPU < 50 % meanwhile; 3 s',
    skip: process.platform === 'linux' ? undefined : 'needs proc(5)',
  },
  async (t) => {
    const player = await startPlayer(t, localServer);
    const cwd = workingFolder(t);
    const { writeFileSync } = await import('node:fs');
    writeFileSync(`${cwd}/lfo.yaml`, fleetYaml([localServer.entry(player.upstream.origin)]));
    const lfo = startLfo(t, ['serve'], { cwd, env: { PORT: '0' }, shell: 'ulimit -n 96' });
    const url = /http:\/\/[^"\s]+:\d+/.exec(await lfo.output(/http:\/\/[^"\s]+:\d+/))?.[0] ?? assert.fail('no address');
    const { connect } = await import('node:net');
    const sockets = Array.from({ length: 200 }, () =>
      connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined),
    );
    await delay(500);
    const before = cpuMs(lfo.child.pid);
    await delay(1000);
    const spentMs = cpuMs(lfo.child.pid) - before;
    assert.equal(lfo.child.exitCode, null, 'it lives');
    assert.ok(spentMs < 500, `${spentMs} ms of CPU in a second`);
    for (const socket of sockets) socket.destroy();
    const isAnswering = async (): Promise<boolean> => {
      const answer = await request(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(hello(localServer)),
      }).catch(() => undefined);
      await answer?.body.dump();
      return answer?.statusCode === 200;
    };
    const freedMs = performance.now();
    while (!(await isAnswering()) && performance.now() - freedMs < 10_000) await delay(50);
    const ms = performance.now() - freedMs;
    assertWithin(t, 'answer after recovery', ms, 3000);
  },
);

/** User and system time of a process so far, from proc(5); ticks are 10 ms. */
function cpuMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
