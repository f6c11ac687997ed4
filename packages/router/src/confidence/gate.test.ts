import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect } from '@lfo/testing/collect.ts';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import * as fc from 'fast-check';
import type { ConfidenceSession, FinalVerdict } from '../core/confidence.ts';
import type { InferenceEvent } from '../core/events.ts';
import { answerJudge } from './answer-judge.ts';
import { openGate, type Gate, type GateOptions } from './gate.ts';
import { callAnswer, finish, textAnswer, weatherTool } from './judge-fixture.ts';

const sure: FinalVerdict = { type: 'commit', score: 0.9, reason: 'confident' };
const unsure: FinalVerdict = { type: 'escalate', score: 0.2, reason: 'low_confidence' };

/** Says `verdict` at the given event, and `last` at the end. */
function scripted(at: number, verdict: FinalVerdict, last: FinalVerdict = verdict): ConfidenceSession {
  let seen = 0;
  const evidence = () => ({ seen });
  return { observe: () => (++seen === at ? verdict : { type: 'hold' }), end: () => last, evidence };
}

function gateOver(
  events: AsyncIterable<InferenceEvent>,
  session: ConfidenceSession,
  change: Partial<GateOptions> = {},
): Gate {
  return openGate(events, session, {
    mode: 'judge',
    limits: { maxHoldTokens: 1000, maxHoldMs: 5000 },
    clock: new FakeClock(),
    signal: new AbortController().signal,
    ...change,
  });
}

async function* replay(events: readonly InferenceEvent[]): AsyncGenerator<InferenceEvent, void> {
  yield* events;
}

/** Yields the events, then stays silent until closed. */
async function* silentAfter(events: readonly InferenceEvent[]): AsyncGenerator<InferenceEvent, void> {
  yield* events;
  await new Promise<never>(() => undefined);
}

const answer = textAnswer([-0.1, -0.1, -0.1, -0.1]);

test('a committed answer leaves exactly as it came, in judge and in observe mode', async () => {
  const logprobs = fc.array(fc.double({ min: -6, max: 0, noNaN: true }), { maxLength: 40 });
  const calls = fc.array(fc.constantFrom(['get_weather', '{"city":"Paris"}'] as const, ['nope', '{'] as const), {
    minLength: 1,
    maxLength: 2,
  });
  const answers = fc.oneof(
    logprobs.map((values) => textAnswer(values)),
    calls.map((made) => callAnswer(made, 0.5)),
  );
  await fc.assert(
    fc.asyncProperty(
      answers,
      fc.constantFrom('judge' as const, 'observe' as const),
      fc.nat(20),
      async (events, mode, maxHoldTokens) => {
        const session = answerJudge.begin(chatRequest({ tools: [weatherTool] }), 0.7);
        const gate = gateOver(replay(events), session, { mode, limits: { maxHoldTokens, maxHoldMs: 5000 } });
        const released = await collect(gate);
        if (gate.escalated) {
          assert.deepEqual(released, []);
          assert.deepEqual(gate.held.events, events.slice(0, gate.held.events.length));
        } else {
          assert.deepEqual(released, events);
          assert.deepEqual(gate.held.events, []);
        }
        assert.equal(gate.committed, !gate.escalated);
        assert.notEqual(gate.verdict, undefined);
      },
    ),
  );
});

test('nothing leaves before the verdict, and the rest passes at once after it', async () => {
  let pulled = 0;
  async function* counted(): AsyncGenerator<InferenceEvent, void> {
    for (const event of answer) {
      pulled++;
      yield event;
    }
  }
  const gate = gateOver(counted(), scripted(5, sure));
  const reader = gate[Symbol.asyncIterator]();
  assert.equal(gate.committed, false);
  assert.deepEqual((await reader.next()).value, answer[0]);
  assert.equal(pulled, 5);
  assert.equal(gate.committed, false, 'start does not commit');
  await reader.next();
  assert.equal(gate.committed, false, 'scores do not commit');
  await reader.next();
  assert.equal(gate.committed, true);
  assert.deepEqual(gate.verdict, sure);
});

test('an early escalation keeps the part it held and marks it incomplete', async () => {
  const gate = gateOver(replay(answer), scripted(4, unsure));
  assert.deepEqual(await collect(gate), []);
  assert.deepEqual([gate.escalated, gate.committed], [true, false]);
  assert.deepEqual(gate.held, { events: answer.slice(0, 4), isComplete: false });
});

test('an escalation at the end keeps the whole answer', async () => {
  const gate = gateOver(replay(answer), scripted(0, unsure));
  await collect(gate);
  assert.deepEqual(gate.held, { events: answer, isComplete: true });
  assert.deepEqual([gate.heldTokens, gate.verdict], [4, unsure]);
});

for (const [type, verdict] of [
  ['commit', sure],
  ['escalate', unsure],
] as const) {
  test(`a silent upstream cannot hold longer than the limit: ${type}`, async () => {
    const clock = new FakeClock();
    const gate = gateOver(silentAfter(answer.slice(0, 3)), scripted(0, verdict), { clock });
    const first = gate[Symbol.asyncIterator]().next();
    await clock.advanceAsync(4999);
    const before = gate.verdict;
    assert.equal(before, undefined);
    await clock.advanceAsync(1);
    assert.equal((await first).done ?? false, type === 'escalate');
    assert.equal(gate.verdict?.reason, type === 'escalate' ? 'hold_limit' : 'confident');
    assert.equal(gate.heldMs, 5000);
    assert.equal(clock.pendingTimers, 0);
  });
}

test('waiting for the first content does not count as holding', async () => {
  const clock = new FakeClock();
  const gate = gateOver(silentAfter(answer.slice(0, 2)), scripted(0, unsure), { clock });
  void gate[Symbol.asyncIterator]().next();
  await clock.advanceAsync(60_000);
  assert.equal(gate.verdict, undefined);
  assert.equal(gate.firstEventMs, undefined);
});

test('the token limit asks for the last word', async () => {
  const limits = { maxHoldTokens: 2, maxHoldMs: 5000 };
  const gate = gateOver(replay(answer), scripted(0, sure), { limits });
  assert.deepEqual(await collect(gate), answer);
  assert.equal(gate.heldTokens, 2);
});

test('an open tool call is held whole beyond the token limit', async () => {
  const events = callAnswer([['get_weather', '{"city":"Paris"}']]);
  const limits = { maxHoldTokens: 1, maxHoldMs: 5000 };
  const gate = gateOver(replay(events), scripted(0, sure), { limits });
  const reader = gate[Symbol.asyncIterator]();
  await reader.next();
  assert.equal(gate.heldTokens, 2, 'both fragments were seen first');
});

test('reasoning is held and commits, as its bytes leave too', async () => {
  const events: readonly InferenceEvent[] = [{ type: 'reasoning-delta', text: 'hm' }, finish(1)];
  const gate = gateOver(replay(events), scripted(2, sure));
  const reader = gate[Symbol.asyncIterator]();
  await reader.next();
  assert.equal(gate.committed, true);
});

test('observing lets an answer pass that judging would withhold, and says so', async () => {
  const gate = gateOver(replay(answer), scripted(2, unsure), { mode: 'observe' });
  assert.deepEqual(await collect(gate), answer);
  assert.deepEqual([gate.escalated, gate.committed, gate.verdict], [false, true, unsure]);
});

test('an upstream error before the verdict propagates and keeps what was held', async () => {
  async function* failing(): AsyncGenerator<InferenceEvent, void> {
    yield* answer.slice(0, 3);
    throw new Error('engine died');
  }
  const gate = gateOver(failing(), scripted(0, sure));
  await assert.rejects(collect(gate), /engine died/);
  assert.deepEqual([gate.committed, gate.held.events.length], [false, 3]);
});

test('an abort ends the wait for a silent upstream', async () => {
  const gone = new AbortController();
  const clock = new FakeClock();
  const gate = gateOver(silentAfter(answer.slice(0, 3)), scripted(0, sure), { signal: gone.signal, clock });
  const reading = collect(gate);
  await settle();
  gone.abort(new Error('client left'));
  await assert.rejects(reading, /client left/);
  assert.equal(clock.pendingTimers, 0);
});

test('a reader that leaves closes the upstream', async () => {
  let closed = false;
  async function* tracked(): AsyncGenerator<InferenceEvent, void> {
    try {
      yield* answer;
    } finally {
      closed = true;
    }
  }
  for await (const _event of gateOver(tracked(), scripted(1, sure))) break;
  await settle();
  assert.equal(closed, true);
});
