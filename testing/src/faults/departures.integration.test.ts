import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { assertWithin } from '../figure.ts';
import { faultTest } from './fault-test.ts';
import { heldBytes } from './held-bytes.ts';
import { httpPost, open } from './raw-client.ts';
import { recordedRow } from './recorded-row.ts';
import { begins, eventually, hello, localServer, says, startRig, subjects, timed } from './subject.ts';

const mebibyte = 1024 * 1024;

for (const subject of subjects) {
  faultTest(
    {
      row: 32,
      what: `${subject.name}: leaving before the first byte, in mid-stream or unstreamed closes the upstream, frees the slot, is written as 499 with its cost`,
      bound: '250 ms',
    },
    async (t) => {
      const { router, play, lastCall, calls } = await startRig(t, subject, {
        entry: ', concurrency: 1',
      });
      for (const [stream, script] of [
        [false, (exchange) => exchange.silence()],
        [true, (exchange) => exchange.silence()],
        [true, begins(subject, 'Half of it', (exchange) => exchange.silence())],
      ] as const satisfies readonly (readonly [boolean, Parameters<typeof play>[0]])[]) {
        play(script);
        const before = calls();
        const socket = await open(t, router);
        socket.write(httpPost(JSON.stringify({ ...hello(subject), stream })));
        await eventually('the backend works', () => calls() > before);
        await delay(60);
        const [end, ms] = await timed((socket.destroy(), lastCall().ended));
        assert.equal(end, 'aborted');
        assertWithin(t, 'upstream closed', ms, 250);
      }
      play(says(subject, 'free again'));
      const [answer, ms] = await timed(router.chat(hello(subject)));
      assert.equal(answer.status, 200);
      assertWithin(t, 'answer from the free slot', ms, 1000);
      await eventually('each is in the log', () => router.log().match(/"status":499/g)?.length === 3);
      const row = await recordedRow(router, { errorCode: 'client_closed_request' });
      assert.ok(Number(row['prompt_tokens']) > 0);
    },
  );
}

faultTest(
  { row: 32, what: 'leaving the queue frees the place, and nothing is sent for it', bound: '250 ms' },
  async (t) => {
    const { router, play, calls } = await startRig(t, localServer, {
      entry: ', concurrency: 1',
      yaml: 'limits: { queue: 1 }',
    });
    const { promise: isLate, resolve: go } = Promise.withResolvers<void>();
    play(async (exchange) => {
      await isLate;
      await says(localServer, 'late')(exchange);
    });
    const first = router.chat(hello(localServer));
    await eventually('the backend works', () => calls() === 1);
    const queued = await open(t, router);
    queued.write(httpPost(JSON.stringify(hello(localServer))));
    await delay(50);
    assert.equal((await router.chat(hello(localServer))).status, 503, 'the queue is full');
    queued.destroy();
    await delay(100);
    const second = router.chat(hello(localServer));
    await delay(100);
    go();
    assert.equal((await first).status, 200);
    assert.equal((await second).status, 200);
    assert.equal(calls(), 2);
  },
);

faultTest(
  { row: 33, what: 'a reader that stops pauses the backend, whose answer is not gathered', bound: '+ 10 MB a stream' },
  async (t) => {
    const { router, play } = await startRig(t, localServer);
    let sentBytes = 0;
    const piece = localServer.text('x'.repeat(10_000));
    play(async (exchange) => {
      exchange.head(200, { 'content-type': 'text/event-stream' });
      for (; exchange.end === undefined; sentBytes += piece.length) await exchange.write(piece);
    });
    const before = heldBytes();
    const reader = await open(t, router);
    reader.pause();
    reader.write(httpPost(JSON.stringify({ ...hello(localServer), stream: true })));
    const sent = (): number => sentBytes;
    for (let last = -1; last !== sent() || sent() === 0; await delay(200)) last = sent();
    const grown = heldBytes() - before;
    assert.ok(grown < 10 * mebibyte, `${grown} bytes held`);
    reader.destroy();
    assert.ok(sentBytes < 40 * mebibyte, `${sentBytes} bytes taken, what the kernel's buffers hold included`);
  },
);

faultTest(
  { row: 33, what: 'a reader that stays away is cut, and the backend released', bound: 'slow_reader_ms + 600 ms' },
  async (t) => {
    const { router, play, lastCall, calls } = await startRig(t, localServer, {
      yaml: 'server: { slow_reader_ms: 500 }',
    });
    play(async (exchange) => {
      exchange.head(200, { 'content-type': 'text/event-stream' });
      while (exchange.end === undefined) await exchange.write(localServer.text('x'.repeat(10_000)));
    });
    const reader = await open(t, router);
    reader.pause();
    reader.write(httpPost(JSON.stringify({ ...hello(localServer), stream: true })));
    await eventually('the backend works', () => calls() === 1);
    assert.equal(await lastCall().ended, 'aborted');
  },
);
