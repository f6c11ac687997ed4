import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { CircuitBreaker } from '@lfo/router/src/backends/breaker.ts';
import { Agent, request } from 'undici';

import { assertWithin } from '../figure.ts';
import { FakeClock } from '../fake-clock.ts';
import { faultTest } from './fault-test.ts';
import { assertCleanError, cloudServer, hello, says, startRig, subjects, textOf, timed } from './subject.ts';

for (const subject of subjects) {
  faultTest(
    {
      row: 35,
      what: `${subject.name}: 500 at once make one probe, the others hear 503 at once`,
      bound: '1 call; the others hear before the probe ends',
    },
    async (t) => {
      const { router, play, calls } = await startRig(t, subject, {
        yaml: 'breaker: { failures: 1, open_ms: 300 }\nretry: { max_retries: 0 }\nlog_level: warn',
      });
      const { promise: othersHeard, resolve: allHeard } = Promise.withResolvers<void>();
      play(
        (exchange) => exchange.json(500, {}),
        async (exchange) => {
          await othersHeard;
          await says(subject, 'well again')(exchange);
        },
      );
      assert.ok([500, 502].includes((await router.chat(hello(subject))).status));
      assert.equal((await router.chat(hello(subject))).status, 503, 'open');
      await delay(350);
      const agent = new Agent({ connections: 500 });
      const ask = async () => {
        const response = await request(`${router.app.url}/v1/chat/completions`, {
          method: 'POST',
          dispatcher: agent,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(hello(subject)),
        });
        const answer: unknown = await response.body.json();
        return { status: response.statusCode, answer };
      };
      const answers: Awaited<ReturnType<typeof ask>>[] = [];
      const keep = async (): Promise<void> => {
        answers.push(await ask());
        if (answers.length === 499) allHeard();
      };
      await Promise.all(Array.from({ length: 500 }, keep));
      await agent.close();
      assert.equal(calls(), 2);
      assert.equal(answers.filter(({ status }) => status === 200).length, 1);
      const refused = answers.filter(({ status }) => status === 503);
      assert.equal(refused.length, 499);
      assertCleanError(refused[0]?.answer, 'no_backend_available', 'lfo');
      assert.equal(answers.at(-1)?.status, 200, 'the probe ends last');
      assert.equal((await router.chat(hello(subject))).status, 200, 'closed again');
    },
  );
}

faultTest({ row: 35, what: 'a probe whose client left hands the probe to the next', bound: '1 s' }, async (t) => {
  const { router, play, calls } = await startRig(t, cloudServer, {
    yaml: 'breaker: { failures: 1, open_ms: 100 }\nretry: { max_retries: 0 }',
  });
  play(
    (exchange) => exchange.json(500, {}),
    (exchange) => exchange.silence(),
    says(cloudServer, 'back'),
  );
  await router.chat(hello(cloudServer));
  await delay(150);
  const lost = await router.chat(hello(cloudServer), { 'x-lfo-deadline-ms': '100' });
  assert.equal(lost.status, 504);
  const [answer, ms] = await timed(router.chat(hello(cloudServer)));
  assert.equal(textOf(answer), 'back');
  assertWithin(t, 'answer of the next', ms, 1000);
  assert.equal(calls(), 3);
});

faultTest({ row: 36, what: 'each absence is longer than the last, up to the limit', bound: '300 s' }, () => {
  const clock = new FakeClock();
  const breaker = new CircuitBreaker({ failures: 1, openMs: 5000, maxOpenMs: 300_000 }, clock);
  const absences: number[] = [];
  for (let flap = 0; flap < 10; flap++) {
    breaker.tryAcquire()?.settle('failure');
    absences.push(breaker.waitMs);
    clock.advance(breaker.waitMs);
    breaker.tryAcquire()?.settle('success');
  }
  assert.deepEqual(
    absences,
    [5, 10, 20, 40, 80, 160, 300, 300, 300, 300].map((seconds) => seconds * 1000),
  );
});

faultTest(
  { row: 37, what: 'a failure that comes late belongs to the state it was begun in', bound: 'breaker stays closed' },
  () => {
    const clock = new FakeClock();
    const breaker = new CircuitBreaker({ failures: 1, openMs: 5000, maxOpenMs: 300_000 }, clock);
    const late = breaker.tryAcquire();
    breaker.tryAcquire()?.settle('failure');
    clock.advance(5000);
    breaker.tryAcquire()?.settle('success');
    late?.settle('failure');
    assert.equal(breaker.state, 'closed');
  },
);
