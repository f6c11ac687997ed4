import assert from 'node:assert/strict';

import { assertWithin } from '../figure.ts';
import { at } from '../sse.ts';
import { faultTest } from './fault-test.ts';
import { heldBytes } from './held-bytes.ts';
import { recordedRow } from './recorded-row.ts';
import {
  assertCut,
  begins,
  eventStream,
  hello,
  says,
  shortBudgets,
  startRig,
  subjects,
  textOf,
  timed,
} from './subject.ts';

const mebibyte = 1024 * 1024;

for (const subject of subjects) {
  for (const [row, what, end] of [
    [7, 'a reset', 'reset'],
    [8, 'an end without its marker', 'hangUp'],
  ] as const) {
    faultTest(
      {
        row,
        what: `${subject.name}: ${what} becomes an error frame, no stop, no retry, its cost kept`,
        bound: '100 ms',
      },
      async (t) => {
        const { router, play, calls } = await startRig(t, subject);
        let endedMs = 0;
        play(
          begins(subject, 'Half of it', (exchange) => {
            endedMs = performance.now();
            exchange[end]();
          }),
        );
        const answer = await router.stream(hello(subject));
        const lateMs = performance.now() - endedMs;
        assert.equal(answer.status, 200);
        assert.equal(textOf(answer), 'Half of it');
        assertCut(answer, 'upstream_cut');
        assert.equal(calls(), 1);
        assertWithin(t, 'error frame', lateMs, 100);
        const row = await recordedRow(router, answer);
        assert.equal(row['error_code'], 'upstream_cut');
        assert.ok(Number(row['completion_tokens']) > 0 && Number(row['prompt_tokens']) > 0);
        assert.equal(row['tokens_estimated'], 1);
      },
    );
  }

  faultTest(
    { row: 9, what: `${subject.name}: silence in mid-stream ends in an error frame`, bound: 'idle budget + 600 ms' },
    async (t) => {
      const { router, play, lastCall } = await startRig(t, subject, { yaml: shortBudgets });
      play(begins(subject, 'Half', (exchange) => exchange.silence()));
      const [answer, ms] = await timed(router.stream(hello(subject)));
      assertCut(answer, 'upstream_timeout');
      assert.ok(ms >= 400, `${ms} ms`);
      assertWithin(t, 'error frame', ms, 1000);
      assert.equal(await lastCall().ended, 'aborted');
    },
  );

  faultTest({ row: 11, what: `${subject.name}: the same answer`, bound: 'identical' }, async (t) => {
    const { router, play } = await startRig(t, subject);
    play(async (exchange) => {
      exchange.head(200, eventStream);
      for (const byte of Buffer.from(subject.text('Grüße, 世界 👋') + subject.text(' and more') + subject.end)) {
        await exchange.write(Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      exchange.finish();
    });
    const answer = await router.stream(hello(subject));
    assert.equal(textOf(answer), 'Grüße, 世界 👋 and more');
    assert.equal(answer.isDone, true);
  });

  faultTest(
    {
      row: 12,
      what: `${subject.name}: stopped at the limit with length, the backend released`,
      bound: '500 tokens; + 50 MB',
    },
    async (t) => {
      const { router, play, lastCall } = await startRig(t, subject, { yaml: 'limits: { answer_tokens: 500 }' });
      play(async (exchange) => {
        exchange.head(200, eventStream);
        const again = subject.text('word ').repeat(20);
        while (exchange.end === undefined) {
          await exchange.write(again);
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
      const before = heldBytes();
      const [answer, ms] = await timed(router.stream(hello(subject)));
      assert.equal(answer.isDone, true);
      assert.ok(answer.chunks.some((chunk) => at(chunk, 'choices', 0, 'finish_reason') === 'length'));
      assert.equal(textOf(answer).trim().split(' ').length, 500);
      assert.equal(await lastCall().ended, 'aborted');
      assert.ok(heldBytes() - before < 50 * mebibyte);
      assertWithin(t, 'whole answer', ms, 5000);
    },
  );

  faultTest(
    { row: 12, what: `${subject.name}: stopped when its time is over`, bound: 'total budget + 600 ms' },
    async (t) => {
      const sections = ['local', 'cloud'].map(
        (tier) => `  ${tier}: { connect_ms: 300, first_token_ms: 400, idle_ms: 400, total_ms: 600 }`,
      );
      const { router, play } = await startRig(t, subject, { yaml: `budgets:\n${sections.join('\n')}` });
      play(async (exchange) => {
        exchange.head(200, eventStream);
        while (exchange.end === undefined) {
          await exchange.write(subject.text('on and on '));
          await exchange.pause(50);
        }
      });
      const [answer, ms] = await timed(router.stream(hello(subject)));
      assert.ok(answer.chunks.some((chunk) => at(chunk, 'choices', 0, 'finish_reason') === 'length'));
      assert.ok(ms >= 590, `${ms} ms`);
      assertWithin(t, 'end', ms, 1200);
    },
  );

  faultTest({ row: 13, what: `${subject.name}: given up at the cap`, bound: '1 MB a line; + 50 MB' }, async (t) => {
    const { router, play, lastCall } = await startRig(t, subject);
    let sentBytes = 0;
    play(async (exchange) => {
      exchange.head(200, eventStream);
      await exchange.write(`${subject.text('Half')}data: {"`);
      const filler = 'x'.repeat(65_536);
      for (; exchange.end === undefined; sentBytes += filler.length) await exchange.write(filler);
    });
    const before = heldBytes();
    const answer = await router.stream(hello(subject));
    assertCut(answer, 'upstream_bad_answer');
    assert.equal(await lastCall().ended, 'aborted');
    assert.ok(sentBytes < 20 * mebibyte, `${sentBytes} bytes`);
    assert.ok(heldBytes() - before < 50 * mebibyte);
  });

  faultTest(
    { row: 19, what: `${subject.name}: an event that is no JSON ends in an error frame`, bound: '1 s' },
    async (t) => {
      const { router, play } = await startRig(t, subject);
      play(begins(subject, 'Half', (exchange) => exchange.finish(`data: {nonsense\n\n${subject.end}`)));
      const [answer, ms] = await timed(router.stream(hello(subject)));
      assertCut(answer, 'upstream_bad_answer');
      assertWithin(t, 'error frame', ms, 1000);
    },
  );

  const rewritings: Readonly<Record<string, (stream: string) => string>> = {
    'LF alone': (stream) => stream.replaceAll('\r\n', '\n'),
    CRLF: (stream) => stream.replaceAll('\r\n', '\n').replaceAll('\n', '\r\n'),
    'CR alone': (stream) => stream.replaceAll('\r\n', '\n').replaceAll('\n', '\r'),
    'a byte order mark': (stream) => `\uFEFF${stream}`,
    'comments between and beside': (stream) => stream.replaceAll('data:', ': ping\n\n:\ndata:'),
    'no space after the colon': (stream) => stream.replaceAll('data: ', 'data:'),
    'JSON over several lines': (stream) => stream.replaceAll('data: {', 'data: {\ndata: '),
    'other fields': (stream) => stream.replaceAll('data: ', 'id: 7\nretry: 9\nunknown\ndata: '),
  };
  faultTest(
    {
      row: 19,
      what: `${subject.name}: ${Object.keys(rewritings).join(', ')} are read by the rules of WHATWG`,
      bound: 'identical',
    },
    async (t) => {
      const { router, play } = await startRig(t, subject);
      for (const [name, rewrite] of Object.entries(rewritings)) {
        play((exchange) => {
          exchange.head(200, eventStream);
          exchange.finish(rewrite(subject.text('All') + subject.text(' of it') + subject.end));
        });
        const answer = await router.stream(hello(subject));
        assert.equal(textOf(answer), 'All of it', name);
        assert.equal(answer.isDone, true, name);
      }
    },
  );

  faultTest(
    {
      row: 20,
      what: `${subject.name}: no event lost, no replacement character, wherever the cut`,
      bound: 'every split',
    },
    async (t) => {
      const { router, play } = await startRig(t, subject);
      const bytes = Buffer.from((subject.text('é👋') + subject.end).replaceAll(/\r?\n/g, '\r\n'));
      for (let cut = 1; cut < bytes.length; cut += 3) {
        play(async (exchange) => {
          exchange.head(200, eventStream);
          await exchange.write(bytes.subarray(0, cut));
          await new Promise((resolve) => setImmediate(resolve));
          await exchange.write(bytes.subarray(cut));
          exchange.finish();
        });
        assert.equal(textOf(await router.stream(hello(subject))), 'é👋', `cut at ${cut}`);
      }
    },
  );
}

faultTest(
  {
    row: 52,
    what: 'heartbeats keep the client while a backend is silent, and the answer is whole',
    bound: 'a comment each 50 ms',
  },
  async (t) => {
    for (const subject of subjects) {
      const { router, play } = await startRig(t, subject, { yaml: 'server: { heartbeat_ms: 50 }' });
      play(async (exchange) => {
        await exchange.pause(700);
        await says(subject, 'after a long prefill')(exchange);
      });
      const answer = await router.stream(hello(subject));
      assert.equal(textOf(answer), 'after a long prefill');
      assert.equal(answer.isDone, true);
      assert.ok(answer.comments >= 5, `${answer.comments} comments`);
    }
  },
);
