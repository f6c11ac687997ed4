import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';

import type { ScriptedAnswer } from '@lfo/device-core';
import { blackHole } from '@lfo/testing/faults/black-hole.ts';
import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { randomFrom } from '@lfo/testing/fleet/simulation.ts';
import { joined } from '@lfo/testing/pairing.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { tcpProxy } from '@lfo/testing/tcp-proxy.ts';
import { eventually, TestDevice } from '@lfo/testing/test-device.ts';

const env = { LFO_FLEET_LISTEN: '127.0.0.1:0' };
const text = (words: string) => (): ScriptedAnswer => ({ parts: [{ k: 'text', text: words }] });

const ask = (router: TestRouter) => router.chat(asking('x', { model: 'lfo-local' }));
const contentOf = (json: unknown): unknown => at(json, 'choices', 0, 'message', 'content');

describe('faults of devices', { timeout: 300_000 }, () => {
  test('fault 1: a device that has gone is not waited for: the next one answers, or 503', async (t) => {
    const router = await startRouter(t, { env });
    const { link } = await joined(router, new TestDevice(t, { name: 'one', answer: text('one') }));
    await joined(router, new TestDevice(t, { name: 'two', answer: text('two') }));
    link.socket.destroy();
    assert.equal(contentOf((await ask(router)).json), 'two');
    const alone = await startRouter(t, { env });
    const other = await joined(alone, new TestDevice(t));
    other.link.socket.destroy();
    await eventually(async () => {
      const { json } = await alone.request('GET', `/admin/devices/${other.id}`);
      return at(json, 'state') === 'offline' ? true : undefined;
    }, 'its end');
    const began = performance.now();
    assert.equal((await ask(alone)).status, 503);
    assert.ok(performance.now() - began < 500);
  });

  test('fault 2: an address to dial that swallows connections is given up, and others answer meanwhile', async (t) => {
    const hole = new URL(await blackHole(t));
    const router = await startRouter(t, { env });
    await joined(router, new TestDevice(t));
    const code = 'M2GT-58X4-MPKA-FA59-NANT-SBDE-NW';
    const wanted = { host: hole.hostname, port: Number(hole.port), code };
    const began = performance.now();
    const { status, json, text: begun } = await router.request('POST', '/admin/devices/pairings', wanted);
    assert.equal(status, 201, begun);
    assert.equal((await ask(router)).status, 200);
    let seen = '';
    await eventually(
      async () => {
        const shown = await router.request('GET', `/admin/devices/pairings/${at(json, 'id')}`);
        seen = shown.text;
        return at(shown.json, 'state') === 'failed' ? true : undefined;
      },
      () => `the end of the dial (last seen: ${seen})`,
    );
    assert.ok(performance.now() - began < 10_000);
  });

  test('fault 4: a request that a device swallows costs 3 s, and another answers it', async (t) => {
    const router = await startRouter(t, { env });
    const hung = new TestDevice(t, { name: 'hung', answer: text('hung') });
    let silence: (isSilent: boolean) => void = () => {};
    const { id } = await joined(router, hung, async (port) => {
      const proxy = await tcpProxy(t, port);
      silence = (isSilent) => proxy.setSilent(isSilent);
      return proxy.port;
    });
    silence(true);
    const pending = ask(router);
    await eventually(async () => {
      const { json } = await router.request('GET', `/admin/devices/${id}`);
      return at(json, 'in_flight') === 1 ? true : undefined;
    }, 'the request');
    await joined(router, new TestDevice(t, { name: 'two', answer: text('two') }));
    const { status, json } = await pending;
    assert.deepEqual([status, contentOf(json)], [200, 'two']);
    const shown = await router.request('GET', `/admin/devices/${id}`);
    assert.match(String(at(shown.json, 'last_error', 'message')), /fell silent/);
  });

  test('a device that says absurd things of itself is clipped, counted, and answers', async (t) => {
    const router = await startRouter(t, { env });
    const liar = new TestDevice(t, {
      name: 'liar',
      answer: () => ({
        parts: [{ k: 'text', text: 'fine' }],
        done: { usage: { prompt_tokens: 1e15, completion_tokens: -4 }, timing: { prefill_tps: 1e9, decode_tps: 1e9 } },
      }),
    });
    await joined(router, liar);
    const { json } = await ask(router);
    assert.equal(contentOf(json), 'fine');
    assert.ok(Number(at(json, 'usage', 'prompt_tokens')) < 10_000);
    assert.ok(Number(at(json, 'usage', 'completion_tokens')) >= 0);
  });

  test('a device whose places are all taken is waited for in order, and none is lost', async (t) => {
    const router = await startRouter(t, { env });
    const slow = { parts: [{ k: 'text', text: 'done' } as const], prefillMs: 100 };
    await joined(router, new TestDevice(t, { slots: 1, answer: () => slow }));
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(router)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    );
  });

  test('a cable of 200 ms that loses every twentieth packet: every answer is whole', async (t) => {
    const router = await startRouter(t, { env });
    const words = Array.from({ length: 40 }, (_, n) => `w${n} `);
    const answer = (): ScriptedAnswer => ({ parts: words.map((each) => ({ k: 'text', text: each })), partMs: 10 });
    const random = randomFrom(11);
    const cable = { delayMs: 100, lost: 0.05, resentAfterMs: 400, random };
    const far = new TestDevice(t, { name: 'far', slots: 4, answer });
    const { id } = await joined(router, far, async (port) => (await tcpProxy(t, port, { cable })).port);
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(router)));
    for (const { status, json } of answers) assert.deepEqual([status, contentOf(json)], [200, words.join('')]);
    const shown = await router.request('GET', `/admin/devices/${id}`);
    assert.ok(Number(at(shown.json, 'rtt_ms')) >= 190, String(at(shown.json, 'rtt_ms')));
    assert.equal(at(shown.json, 'session', 'resumes'), 0);
  });

  test('fault 33: a client that reads nothing does not hold up another answer of the same device', async (t) => {
    const router = await startRouter(t, { env });
    const long = Array.from({ length: 2_000 }, () => ({ k: 'text', text: 'x'.repeat(2_000) }) as const);
    await joined(
      router,
      new TestDevice(t, {
        slots: 2,
        answer: ({ messages }) => (messages[0]?.content === 'long' ? { parts: long } : text('short')()),
      }),
    );
    // Out of its slow start: both slots are given.
    await ask(router);
    const { port } = new URL(router.app.url);
    const slow = connect(Number(port), '127.0.0.1').on('error', () => undefined);
    t.after(() => slow.destroy());
    const body = JSON.stringify(asking('long', { model: 'lfo-local', stream: true }));
    slow.pause();
    slow.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    const began = performance.now();
    for (let turn = 0; turn < 5; turn++) assert.equal(contentOf((await ask(router)).json), 'short');
    assert.ok(performance.now() - began < 5_000);
    slow.destroy();
  });

  test('a background request that has not begun gives its slot to an interactive one, and is answered after it', async (t) => {
    const router = await startRouter(t, { env });
    const order: string[] = [];
    const { id } = await joined(
      router,
      new TestDevice(t, {
        slots: 1,
        answer: ({ messages }) => {
          order.push(messages[0]?.content ?? '');
          return { parts: [{ k: 'text', text: 'done' }], prefillMs: messages[0]?.content === 'later' ? 1_500 : 50 };
        },
      }),
    );
    // Out of its slow start, so that only its slot is in the way.
    await ask(router);
    const later = router.chat(asking('later', { model: 'lfo-local' }), { 'x-lfo-lane': 'background' });
    await eventually(() => (order.includes('later') ? true : undefined), 'the background request');
    const now = router.chat(asking('now', { model: 'lfo-local' }));
    assert.equal(await Promise.race([later.then(() => 'later'), now.then(() => 'now')]), 'now');
    assert.equal((await now).status, 200, (await now).text);
    const { status, json } = await later;
    assert.deepEqual([status, contentOf(json)], [200, 'done']);
    assert.deepEqual(order.slice(1), ['later', 'now', 'later']);
    assert.equal(at(json, 'lfo_metadata', 'attempts', 'length'), 1, 'what was preempted is no attempt');
    const shown = await router.request('GET', `/admin/devices/${id}`);
    assert.equal(at(shown.json, 'last_error'), null);
  });

  test('1,000 hostile connections leave memory flat, and a device joins all the same', async (t) => {
    const cwd = workingFolder(t);
    const lfo = startLfo(t, ['serve', '--json'], { cwd, env: { ...env, PORT: '0', LFO_LOG_LEVEL: 'info' } });
    const started = await lfo.output(/"url":"(http[^"]+)"/);
    const url = /"url":"(http[^"]+)"/.exec(started)?.[1] ?? '';
    const post = async (path: string): Promise<unknown> => {
      const response = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      });
      return await response.json();
    };
    const uri = String(at(await post('/admin/devices/pairings'), 'uri'));
    const port = Number(/p=(\d+)/.exec(uri)?.[1]);
    const residentMb = (): number => {
      const status = readFileSync(`/proc/${lfo.child.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    };
    const attack = async (count: number): Promise<void> => {
      const sockets: Socket[] = [];
      for (let n = 0; n < count; n++) {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => {});
        const announced = Buffer.alloc(4 + (n % 900), 0x41);
        announced.writeUInt32BE(n % 3 === 0 ? 0xffff_ffff : 1024);
        socket.write(announced);
        sockets.push(socket);
        if (n % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await new Promise((resolve) => setTimeout(resolve, 300));
      for (const socket of sockets) socket.destroy();
    };
    await attack(200);
    const before = residentMb();
    await attack(500);
    const amid = residentMb();
    await attack(500);
    const after = residentMb();
    assert.ok(after - before < 20, `${before} MB before, ${amid} amid, ${after} after`);
    const device = new TestDevice(t);
    await eventually(async () => {
      const link = await device.pair(uri);
      const end = await Promise.race([
        link.ended,
        new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 400)),
      ]);
      return end === undefined ? true : undefined;
    }, 'the device');
  });
});
