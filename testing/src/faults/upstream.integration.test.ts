import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { assertWithin } from '../figure.ts';
import { asking, startRouter } from '../router.ts';
import { at } from '../sse.ts';
import { rateLimit, invalidKey } from '../fake-gemini.ts';
import type { Script } from '../upstream/exchange.ts';
import { faults } from '../upstream/faults.ts';
import { blackHole } from './black-hole.ts';
import { faultTest } from './fault-test.ts';
import {
  assertCleanError,
  begins,
  cloudServer,
  eventStream,
  fleetYaml,
  geminiCloud,
  hello,
  localServer,
  says,
  shortBudgets,
  startBoth,
  startRig,
  subjects,
  textOf,
  timed,
} from './subject.ts';

const silence: Script = (exchange) => exchange.silence();
const status =
  (code: number, headers: Record<string, string> = {}): Script =>
  (exchange) =>
    exchange.json(code, { error: { code, message: 'upstream-secret-7f3a', status: 'UNAVAILABLE' } }, headers);

for (const subject of subjects) {
  faultTest(
    { row: 1, what: `${subject.name}: 503 at once, and the breaker counts one a call`, bound: '100 ms' },
    async (t) => {
      const { router, upstream } = await startRig(t, subject, { yaml: 'breaker: { failures: 5 }' });
      await upstream.close();
      let bestMs = Infinity;
      for (let call = 0; call < 5; call++) {
        const [answer, ms] = await timed(router.chat(hello(subject)));
        assert.equal(answer.status, 503);
        assertCleanError(answer.json, 'upstream_unreachable');
        assert.equal(answer.headers['x-should-retry'], 'false');
        bestMs = Math.min(bestMs, ms);
      }
      assertWithin(t, 'refusal', bestMs, 100);
      const open = await router.chat(hello(subject));
      assertCleanError(open.json, 'no_backend_available', 'lfo');
      assert.ok(Number(open.headers['retry-after']) >= 1);
    },
  );

  faultTest(
    { row: 4, what: `${subject.name}: given up, the connection closed`, bound: 'first-token budget + 600 ms' },
    async (t) => {
      const { router, play, lastCall } = await startRig(t, subject, { yaml: shortBudgets });
      play(silence);
      const [answer, ms] = await timed(router.chat(hello(subject)));
      assert.equal(answer.status, 504);
      assertCleanError(answer.json, 'upstream_timeout');
      assert.ok(ms >= 390, `${ms} ms`);
      assertWithin(t, '504', ms, 1000);
      assert.equal(await lastCall().ended, 'aborted');
    },
  );

  faultTest(
    { row: 5, what: `${subject.name}: a head alone commits to nothing`, bound: 'first-token budget + 600 ms' },
    async (t) => {
      const { router, play, lastCall } = await startRig(t, subject, { yaml: shortBudgets });
      play(async (exchange) => {
        exchange.head(200, eventStream);
        await exchange.silence();
      });
      const [answer, ms] = await timed(router.stream(hello(subject)));
      assert.equal(answer.status, 504);
      assertWithin(t, '504', ms, 1000);
      assert.equal(await lastCall().ended, 'aborted');
    },
  );

  faultTest({ row: 6, what: `${subject.name}: one more call, no text twice`, bound: '2 calls' }, async (t) => {
    const { router, play, calls } = await startRig(t, subject);
    for (const ask of [router.chat, router.stream]) {
      play((exchange) => exchange.reset(), says(subject, 'once'));
      const before = calls();
      const answer = await ask(hello(subject));
      assert.equal(answer.status, 200);
      assert.equal(textOf(answer), 'once');
      assert.equal(calls() - before, 2);
    }
  });

  const limited: Script =
    subject === geminiCloud
      ? (exchange) => exchange.json(429, rateLimit('7s').body)
      : status(429, { 'retry-after': '7' });
  faultTest(
    {
      row: 14,
      what: `${subject.name}: 429 with its time, no call before, no failure of the backend`,
      bound: '1 call for 10 requests',
    },
    async (t) => {
      const { router, play, calls } = await startRig(t, subject, { yaml: 'breaker: { failures: 1 }' });
      play(limited);
      for (let request = 0; request < 10; request++) {
        const answer = await router.chat(hello(subject));
        assert.equal(answer.status, 429);
        assert.equal(at(answer.json, 'error', 'code'), 'rate_limit_exceeded');
        assert.ok([6, 7].includes(Number(answer.headers['retry-after'])), String(answer.headers['retry-after']));
      }
      assert.equal(calls(), 1);
    },
  );

  faultTest(
    { row: 15, what: `${subject.name}: 502 upstream_auth, never retried, the key nowhere`, bound: '1 call' },
    async (t) => {
      const { router, play, calls } = await startRig(t, subject);
      for (const code of [401, 403]) {
        play(status(code));
        const before = calls();
        const answer = await router.chat(hello(subject));
        assert.equal(answer.status, 502);
        assertCleanError(answer.json, 'upstream_auth');
        // A key refused once is not tried again.
        assert.equal(calls() - before, code === 403 ? 0 : 1);
      }
      assert.doesNotMatch(router.log(), /key-of-the-operator/);
    },
  );

  for (const code of [500, 503]) {
    faultTest({ row: 16, what: `${subject.name}: ${code} is tried once more`, bound: '2 calls' }, async (t) => {
      const { router, play, calls } = await startRig(t, subject);
      play(status(code));
      const answer = await router.chat(hello(subject));
      // Gemini's own statuses are handed on as they are.
      assert.equal(answer.status, code === 500 && subject !== geminiCloud ? 502 : code);
      assertCleanError(answer.json, 'upstream_error');
      assert.equal(answer.headers['x-should-retry'], 'false');
      assert.equal(calls(), 2);
    });
  }

  faultTest(
    {
      row: 16,
      what: `${subject.name}: a broken backend sees few calls more than requests`,
      bound: '1.2 × over 1,000 requests',
    },
    async (t) => {
      const { router, play, calls } = await startRig(t, subject, {
        yaml: 'breaker: { failures: 10000 }\nlog_level: warn',
      });
      play(status(503));
      const ask = async (): Promise<void> => {
        for (let request = 0; request < 50; request++) assert.equal((await router.chat(hello(subject))).status, 503);
      };
      await Promise.all(Array.from({ length: 20 }, ask));
      assert.ok(calls() > 1000 && calls() <= 1200, `${calls()} calls for 1,000 requests`);
    },
  );

  faultTest({ row: 17, what: `${subject.name}: a clean 502, nothing of the page`, bound: '1 s' }, async (t) => {
    const { router, play } = await startRig(t, subject);
    play(faults['fault-html'] ?? silence);
    for (const ask of [router.chat, router.stream]) {
      const [answer, ms] = await timed(ask(hello(subject)));
      assert.equal(answer.status, 502);
      assertCleanError(answer.json, 'upstream_bad_answer');
      assertWithin(t, '502', ms, 1000);
    }
  });

  faultTest(
    { row: 18, what: `${subject.name}: an error is an error whatever its wrapping`, bound: '3 s' },
    async (t) => {
      const { router, play } = await startRig(t, subject, { yaml: 'breaker: { failures: 100 }' });
      for (const [name, expected] of [
        ['fault-error-as-stream', 503],
        ['fault-error-in-ok-stream', 503],
        ['fault-array-error', 429],
      ] as const) {
        play(faults[name] ?? silence);
        for (const ask of [router.stream, router.chat]) {
          const [answer, ms] = await timed(ask(hello(subject)));
          assert.equal(answer.status, expected, `${name}: ${answer.text}`);
          assert.doesNotMatch(answer.text, /upstream-secret/);
          assertWithin(t, name, ms, 3000);
        }
      }
    },
  );

  faultTest(
    { row: 50, what: `${subject.name}: asked again on a new connection, counted by nobody`, bound: '1 attempt' },
    async (t) => {
      const { router, upstream, play } = await startRig(t, subject);
      play(says(subject, 'still here'));
      for (let round = 0; round < 5; round++) {
        const answer = await router.chat(hello(subject));
        assert.equal(textOf(answer), 'still here');
        const attempts = at(answer.json, 'lfo_metadata', 'attempts');
        assert.equal(Array.isArray(attempts) && attempts.length, 1);
        upstream.closeIdle();
      }
    },
  );
}

faultTest({ row: 1, what: 'auto: the cloud answers instead', bound: '100 ms' }, async (t) => {
  const { router, local } = await startBoth(t);
  await local.upstream.close();
  let bestMs = Infinity;
  for (let call = 0; call < 5; call++) {
    const [answer, ms] = await timed(router.chat(asking('Hello')));
    assert.equal(textOf(answer), 'from the cloud');
    bestMs = Math.min(bestMs, ms);
  }
  assertWithin(t, 'answer of the cloud', bestMs, 100);
});

faultTest(
  { row: 2, what: 'given up after the connect budget, others unaffected', bound: 'connect budget + 700 ms' },
  async (t) => {
    const hole = await blackHole(t);
    const router = await startRouter(t, { yaml: fleetYaml([cloudServer.entry(hole)], shortBudgets) });
    const [answer, ms] = await timed(router.chat(hello(cloudServer)));
    assertCleanError(answer.json, 'upstream_timeout');
    assert.ok(ms >= 290, `${ms} ms`);
    assertWithin(t, 'given up', ms, 1000);
    const hanging = router.chat(hello(cloudServer));
    const [other, otherMs] = await timed(router.request('GET', '/health'));
    assert.equal(other.status, 200);
    assertWithin(t, 'another request', otherMs, 200);
    await hanging;
  },
);

faultTest(
  {
    row: 3,
    what: 'a clean error within the connect budget, the event loop free',
    bound: 'connect budget + 700 ms; loop p99 < 50 ms',
  },
  async (t) => {
    const router = await startRouter(t, {
      yaml: fleetYaml([cloudServer.entry('http://nowhere.invalid:1')], shortBudgets),
    });
    const loop = monitorEventLoopDelay({ resolution: 5 });
    loop.enable();
    const [answer, ms] = await timed(router.chat(hello(cloudServer)));
    loop.disable();
    assert.ok([503, 504].includes(answer.status), answer.text);
    assert.equal(at(answer.json, 'error', 'source'), 'upstream');
    assert.doesNotMatch(answer.text, /nowhere/);
    assertWithin(t, 'refusal', ms, 1000);
    assertWithin(t, 'p99 of the event loop', loop.percentile(99) / 1e6, 50);
  },
);

for (const [row, what, script] of [
  [4, 'accepts and never replies', silence],
  [5, 'sends a head and no body', begins(localServer, '', (exchange) => exchange.silence())],
] as const) {
  faultTest(
    { row, what: `auto: the cloud answers where the local server ${what}`, bound: 'first-token budget + 600 ms' },
    async (t) => {
      const { router, local } = await startBoth(t, shortBudgets);
      local.play(script);
      const [answer, ms] = await timed(router.stream(asking('Hello')));
      assert.equal(textOf(answer), 'from the cloud');
      assert.equal(answer.isDone, true);
      assertWithin(t, 'answer of the cloud', ms, 1000);
    },
  );
}

faultTest({ row: 14, what: 'auto: another tier answers meanwhile', bound: '1 call in 10 requests' }, async (t) => {
  const { router, local } = await startBoth(t);
  local.play(status(429, { 'retry-after': '60' }));
  for (let request = 0; request < 10; request++)
    assert.equal(textOf(await router.chat(asking('Hello'))), 'from the cloud');
  assert.equal(local.calls(), 1);
});

faultTest({ row: 14, what: 'a short time is waited for', bound: '1 s + 700 ms' }, async (t) => {
  const { router, play } = await startRig(t, localServer);
  play(status(429, { 'retry-after': '1' }), says(localServer, 'after all'));
  const [answer, ms] = await timed(router.chat(hello(localServer)));
  assert.equal(textOf(answer), 'after all');
  assert.ok(ms >= 1000, `${ms} ms`);
  assertWithin(t, 'answer', ms, 1700);
});

faultTest({ row: 15, what: "gemini: a bad key under 400 is no fault of the client's", bound: '1 call' }, async (t) => {
  const { router, play, calls } = await startRig(t, geminiCloud);
  play((exchange) => exchange.json(400, invalidKey().body));
  const answer = await router.chat(hello(geminiCloud));
  assertCleanError(answer.json, 'upstream_auth');
  assert.equal(calls(), 1);
});

faultTest(
  { row: 40, what: 'the answer is 504 when the time is over, whatever the backend does', bound: 'deadline + 300 ms' },
  async (t) => {
    const { router, play, lastCall } = await startRig(t, localServer);
    play(silence);
    const [answer, ms] = await timed(router.chat(hello(localServer), { 'x-lfo-deadline-ms': '200' }));
    assert.equal(answer.status, 504);
    assert.equal(at(answer.json, 'error', 'code'), 'deadline_exceeded');
    assertWithin(t, '504', ms, 500);
    assert.equal(await lastCall().ended, 'aborted');
  },
);

faultTest(
  { row: 40, what: 'no attempt is begun for which no time is left', bound: '1 call; before the deadline' },
  async (t) => {
    const { router, play, calls } = await startRig(t, localServer, { yaml: 'retry: {}' });
    play(status(503, { 'retry-after': '2' }));
    const [answer, ms] = await timed(router.chat(hello(localServer), { 'x-lfo-deadline-ms': '1500' }));
    assert.equal(answer.status, 503);
    assert.equal(at(answer.json, 'error', 'code'), 'upstream_error');
    assertWithin(t, 'refusal', ms, 1000);
    assert.equal(calls(), 1);
  },
);
