import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import * as fc from 'fast-check';
import type { ConfidenceSession, FinalVerdict } from '../core/confidence.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';
import { createAnswerJudge } from './answer-judge.ts';
import { Gate, type GateOptions } from './gate.ts';
import { callAnswer, finish, judged, textAnswer, weatherTool } from './judge-fixture.ts';

const sure: FinalVerdict = { type: 'commit', score: 0.9, reason: 'confident' };
const unsure: FinalVerdict = { type: 'escalate', score: 0.2, reason: 'low_confidence' };
const limits = { maxHoldTokens: 1000, maxHoldMs: 5000, maxFormatMs: 60_000, maxFormatBytes: 1_048_576 };

/** Says `verdict` at the given event, and `last` at the end. */
function scripted(at: number, verdict: FinalVerdict, last: FinalVerdict = verdict): ConfidenceSession {
  let seen = 0;
  const evidence = () => ({ seen });
  return { observe: () => (++seen === at ? verdict : { type: 'hold' }), end: () => last, evidence };
}

/** Says `commit` to every event: nothing but the gate holds an answer back. */
const eager: ConfidenceSession = { observe: () => sure, end: () => sure, evidence: () => ({}) };

function gateWith(session: ConfidenceSession | undefined, change: Partial<GateOptions> = {}): Gate {
  return new Gate(session, {
    request: chatRequest(),
    delivery: 'stream',
    mode: 'judge',
    limits,
    clock: new FakeClock(),
    ...change,
  });
}

const answer = textAnswer([-0.1, -0.1, -0.1, -0.1]);
const weatherCall = callAnswer([['get_weather', '{"city":"Paris"}']], 0.2);
const withTools = chatRequest({ tools: [weatherTool] });
const asksWeather = chatRequest({
  tools: [weatherTool],
  messages: [{ role: 'user', content: [{ type: 'text', text: 'Weather in Paris?' }] }],
});

describe('gate', () => {
  test('a committed answer leaves exactly as it came, however it is cut into batches', () => {
    const logprobs = fc.array(fc.double({ min: -6, max: 0, noNaN: true }), { maxLength: 40 });
    const calls = fc.array(fc.constantFrom(['get_weather', '{"city":"Paris"}'] as const, ['nope', '{'] as const), {
      minLength: 1,
      maxLength: 2,
    });
    const answers = fc.oneof(
      logprobs.map((values) => textAnswer(values)),
      calls.map((made) => callAnswer(made, 0.5)),
    );
    fc.assert(
      fc.property(
        answers,
        fc.constantFrom('judge' as const, 'observe' as const),
        fc.constantFrom('stream' as const, 'unary' as const),
        fc.nat(20),
        fc.integer({ min: 1, max: 9 }),
        (events, mode, delivery, maxHoldTokens, batch) => {
          const session = createAnswerJudge().begin({ ...judged(withTools, 0.7), delivery });
          const gate = gateWith(session, { mode, delivery, request: withTools, limits: { ...limits, maxHoldTokens } });
          const released: InferenceEvent[] = [];
          for (let at = 0; at < events.length; at += batch) released.push(...gate.take(events.slice(at, at + batch)));
          if (gate.isEscalated) {
            assert.deepEqual(released, []);
            assert.deepEqual(gate.held.events, events.slice(0, gate.held.events.length));
          } else {
            assert.deepEqual(released, events);
            assert.deepEqual(gate.held.events, []);
          }
          assert.notEqual(gate.verdict, undefined);
          assert.equal(gate.heldMs === undefined, mode === 'observe', 'only what was judged first was held');
        },
      ),
    );
  });

  test('nothing leaves before the verdict, and the rest passes at once after it', () => {
    const gate = gateWith(scripted(5, sure));
    assert.deepEqual(gate.take(answer.slice(0, 4)), []);
    assert.deepEqual(gate.take(answer.slice(4, 5)), answer.slice(0, 5));
    assert.deepEqual(gate.verdict, sure);
    assert.deepEqual(gate.take(answer.slice(5, 6)), answer.slice(5, 6));
  });

  test('an early escalation keeps the part it held and marks it incomplete', () => {
    const gate = gateWith(scripted(4, unsure));
    assert.deepEqual(gate.take(answer), []);
    assert.equal(gate.isEscalated, true);
    assert.deepEqual(gate.held, { events: answer.slice(0, 4), isComplete: false });
  });

  test('an escalation at the end keeps the whole answer', () => {
    const gate = gateWith(scripted(0, unsure));
    gate.take(answer);
    assert.deepEqual(gate.held, { events: answer, isComplete: true });
    assert.deepEqual([gate.heldTokens, gate.verdict], [4, unsure]);
  });

  test('a unary answer is judged at its end whatever an estimator says before', () => {
    const gate = gateWith(eager, { delivery: 'unary', limits: { ...limits, maxHoldTokens: 1 } });
    assert.deepEqual(gate.take(answer.slice(0, -1)), []);
    assert.equal(gate.dueMs, Infinity);
    assert.deepEqual(gate.take(answer.slice(-1)), answer);
  });

  test('a unary answer that nobody judges is kept to its end too, and was not held by the gate', () => {
    const gate = gateWith(undefined, { delivery: 'unary' });
    assert.deepEqual(gate.take(answer.slice(0, -1)), []);
    assert.deepEqual(gate.take(answer.slice(-1)), answer);
    assert.deepEqual([gate.heldMs, gate.verdict], [undefined, undefined]);
  });

  test('thoughts are held with the answer, start no clock, count for nothing and leave with it', () => {
    const thought: InferenceEvent = { type: 'reasoning-delta', text: 'hm' };
    const scores: InferenceEvent = { type: 'token-scores', about: 'text', scores: [{ token: 'hm', logprob: -9 }] };
    const gate = gateWith(createAnswerJudge().begin(judged(chatRequest(), 0.7)), {
      limits: { ...limits, maxHoldTokens: 2 },
    });
    const thoughts = Array.from({ length: 50 }, () => [thought, scores]).flat();
    assert.deepEqual(gate.take([...answer.slice(0, 1), ...thoughts]), []);
    assert.equal(gate.dueMs, Infinity);
    const released = gate.take(answer.slice(1));
    assert.deepEqual(released, [...answer.slice(0, 1), ...thoughts, ...answer.slice(1)]);
    assert.equal(gate.heldTokens, 2);
    assert.equal(gate.verdict?.reason, 'confident');
  });

  test('where nothing is judged thoughts stream at once', () => {
    const thought: InferenceEvent = { type: 'reasoning-delta', text: 'hm' };
    assert.deepEqual(gateWith(eager, { mode: 'observe' }).take([thought]), [thought]);
  });

  test('observing lets an answer pass that judging would withhold, and says so', () => {
    const gate = gateWith(scripted(2, unsure), { mode: 'observe' });
    assert.deepEqual(gate.take(answer), answer);
    assert.deepEqual([gate.isEscalated, gate.verdict], [false, unsure]);
  });
});

describe('what is begun is judged whole', () => {
  /** Fifty scores, as a long bare JSON call has them before it can be read. */
  const early = (about: 'text' | 'tool-call'): InferenceEvent[] =>
    Array.from({ length: 60 }, () => ({ type: 'token-scores', about, scores: [{ token: 'x', logprob: -0.01 }] }));
  const strict = { ...limits, maxHoldTokens: 48 };

  for (const about of ['text', 'tool-call'] as const) {
    test(`a call beyond the token limit whose scores come first (as ${about}) is held to its end`, () => {
      const session = createAnswerJudge().begin(judged(asksWeather, 0.7));
      const gate = gateWith(session, { request: asksWeather, limits: strict });
      const undeclared = callAnswer([['rm_rf', '{"path":"/"}']]);
      assert.deepEqual(gate.take([...undeclared.slice(0, 1), ...early(about)]), []);
      assert.equal(gate.isEscalated, false, 'no limit of the text decides');
      assert.deepEqual(gate.take(undeclared.slice(1)), []);
      assert.equal(gate.verdict?.reason, 'unknown_tool');
    });
  }

  test('calls are released together, so that a bad second one stops the first', () => {
    const two = callAnswer(
      [
        ['get_weather', '{"city":"Paris"}'],
        ['get_weather', '{"city":7}'],
      ],
      0.2,
    );
    const gate = gateWith(createAnswerJudge().begin(judged(asksWeather, 0.7)), { request: asksWeather });
    assert.deepEqual(gate.take(two), []);
    assert.equal(gate.verdict?.reason, 'tool_call_invalid');
  });

  test('a call is not released before the answer ends, even by an estimator in a hurry', () => {
    const gate = gateWith(eager, { request: withTools, limits: { ...limits, maxHoldTokens: 1 } });
    assert.deepEqual(gate.take(weatherCall.slice(0, -1)), []);
    assert.deepEqual(gate.take(weatherCall.slice(-1)), weatherCall);
  });

  for (const opening of ['{"name"', '<tool_call>', '```json\n', '`', '  [{', '```']) {
    test(`text that begins like a call, ${JSON.stringify(opening)}, is held as one`, () => {
      const clock = new FakeClock();
      const gate = gateWith(eager, { request: withTools, limits: { ...limits, maxHoldTokens: 1 }, clock });
      assert.deepEqual(gate.take([{ type: 'text-delta', text: opening }]), []);
      assert.equal(gate.dueMs, 5000);
      assert.deepEqual(gate.expire(), []);
      assert.equal(gate.verdict?.reason, 'hold_limit');
    });
  }

  test('a fence that turns out to be code is text again', () => {
    const gate = gateWith(eager, { request: withTools });
    assert.deepEqual(gate.take([{ type: 'text-delta', text: '```python' }]), []);
    const rest: InferenceEvent = { type: 'text-delta', text: '\nprint(1)' };
    assert.equal(gate.take([rest]).length, 2);
  });

  test('without tools a brace is only text', () => {
    const gate = gateWith(eager);
    assert.equal(gate.take([{ type: 'text-delta', text: '{' }]).length, 1);
  });

  test('a good call after released text is judged whole and leaves whole', () => {
    const gate = gateWith(scripted(3, sure), { request: withTools });
    const text = textAnswer([-0.1]).slice(0, 3);
    assert.deepEqual(gate.take(text), text);
    const call = weatherCall.slice(1);
    assert.deepEqual(gate.take(call.slice(0, -1)), []);
    assert.equal(gate.isEscalated, false);
    assert.deepEqual(gate.take(call.slice(-1)), call);
  });

  test('a bad call after released text is refused and nothing of it leaves', () => {
    const session = createAnswerJudge().begin(judged(withTools, 0.7));
    const gate = gateWith(session, { request: withTools });
    const text = textAnswer(Array.from({ length: 16 }, () => 0)).slice(0, -1);
    assert.deepEqual(gate.take(text), text);
    assert.deepEqual(gate.take(callAnswer([['rm_rf', '{}']], 0).slice(1)), []);
    assert.deepEqual([gate.isEscalated, gate.verdict?.reason], [true, 'unknown_tool']);
  });

  test('each call has its own time, the first does not use up that of the second', () => {
    const clock = new FakeClock();
    const gate = gateWith(scripted(0, sure), { request: withTools, clock });
    gate.take([{ type: 'tool-call-start', index: 0, id: 'a', name: 'get_weather' }]);
    clock.advance(4000);
    gate.take([
      { type: 'tool-call-end', index: 0 },
      { type: 'token-scores', about: 'tool-call', scores: [{ token: 'x', logprob: 0 }] },
    ]);
    assert.equal(gate.dueMs, 9000);
    clock.advance(1000);
    gate.take([{ type: 'tool-call-start', index: 1, id: 'b', name: 'get_weather' }]);
    assert.equal(gate.dueMs, 9000, 'it began with its first score');
  });

  test('JSON larger than the bytes for it escalates', () => {
    const request = chatRequest({ responseFormat: { type: 'json_object' } });
    const gate = gateWith(eager, { request, limits: { ...limits, maxFormatBytes: 10 } });
    assert.deepEqual(gate.take([{ type: 'text-delta', text: '{"a":12345' }]), []);
    assert.equal(gate.isEscalated, false);
    assert.deepEqual(gate.take([{ type: 'text-delta', text: '}' }]), []);
    assert.deepEqual(gate.verdict, { type: 'escalate', reason: 'hold_limit' });
  });

  for (const [name, request] of [
    ['json_object', chatRequest({ responseFormat: { type: 'json_object' } })],
    ['json_schema', chatRequest({ responseFormat: { type: 'json_schema', name: 's', schema: { type: 'object' } } })],
  ] as const) {
    test(`${name} of any length is judged at its end`, () => {
      const session = createAnswerJudge().begin(judged(request, 0.7));
      const pieces = ['{"a":"', ...Array.from({ length: 200 }, () => 'x '), '"}'];
      const gate = gateWith(session, { request, limits: strict });
      const events = textAnswer(
        pieces.map(() => -0.01),
        pieces,
      );
      assert.deepEqual(gate.take(events.slice(0, -1)), []);
      assert.deepEqual(gate.take(events.slice(-1)), events);
      assert.equal(gate.verdict?.reason, 'confident');
    });
  }

  for (const toolChoice of [{ type: 'required' }, { type: 'function', name: 'get_weather' }] as const) {
    test(`tool_choice ${toolChoice.type}: a call of any length has the time of a format`, () => {
      const request: ChatRequest = { ...asksWeather, toolChoice };
      const gate = gateWith(createAnswerJudge().begin(judged(request, 0.7)), { request, limits: strict });
      assert.deepEqual(gate.take([...weatherCall.slice(0, 1), ...early('tool-call')]), []);
      assert.equal(gate.dueMs, 60_000);
      const rest = weatherCall.slice(1);
      assert.equal(gate.take(rest).at(-1), rest.at(-1));
    });
  }
});

/** What is held × which limit runs out × what the upstream does then: what must come of it. */
describe('table of holds', () => {
  const text = textAnswer([-0.1, -0.1], ['Hello', ' there']);
  const json = chatRequest({ responseFormat: { type: 'json_object' } });
  const jsonAnswer = textAnswer([-0.1, -0.1, -0.1], ['{"a"', ':', '1}']);
  const mixed: readonly InferenceEvent[] = [
    ...textAnswer([-0.1], ['Let me see.']).slice(0, -1),
    ...weatherCall.slice(1),
  ];
  const kinds: readonly (readonly [
    name: string,
    request: ChatRequest,
    events: readonly InferenceEvent[],
    /** Events after which the upstream falls silent. */
    silentAfter: number,
    /** What the clock alone makes of it then. */
    atDue: { readonly ms: number; readonly released: boolean },
  ])[] = [
    ['text', chatRequest(), text, 3, { ms: 5000, released: true }],
    ['call', withTools, weatherCall, 4, { ms: 5000, released: false }],
    ['call before it can be read', withTools, weatherCall, 2, { ms: 5000, released: false }],
    ['JSON', json, jsonAnswer, 3, { ms: 60_000, released: false }],
    ['text and a call', withTools, mixed, mixed.length - 2, { ms: 5000, released: false }],
  ];

  for (const [name, request, events, silentAfter, atDue] of kinds) {
    const hold = (change: Partial<typeof limits> = {}, clock = new FakeClock()): Gate =>
      gateWith(scripted(0, sure), { request, clock, limits: { ...limits, ...change } });

    test(`${name}: its end decides`, () => {
      const gate = hold();
      assert.deepEqual(gate.take(events.slice(0, -1)), []);
      assert.deepEqual(gate.take(events.slice(-1)), events);
    });

    test(`${name}: the token limit decides on text alone`, () => {
      const gate = hold({ maxHoldTokens: 1 });
      const early = gate.take(events.slice(0, -1));
      // The text of the mixed answer is released, the call behind it is held to its end.
      const released = name === 'text' ? events.slice(0, -1) : name === 'text and a call' ? events.slice(0, 3) : [];
      assert.deepEqual(early, released);
      assert.deepEqual([...early, ...gate.take(events.slice(-1))], events);
    });

    test(`${name}: the byte limit decides on a format alone`, () => {
      const gate = hold({ maxFormatBytes: 2 });
      const released = gate.take(events);
      assert.deepEqual(released, name === 'JSON' ? [] : events);
    });

    test(`${name}: an upstream that falls silent meets its limit, and what it says after that is not lost`, () => {
      const clock = new FakeClock();
      const gate = hold({}, clock);
      assert.deepEqual(gate.take(events.slice(0, silentAfter)), []);
      assert.equal(gate.dueMs, atDue.ms);
      clock.advance(atDue.ms);
      const atLimit = gate.expire();
      assert.equal(gate.isEscalated, !atDue.released);
      assert.equal(gate.heldMs, atDue.ms);
      if (!atDue.released) assert.deepEqual(gate.verdict, { type: 'escalate', reason: 'hold_limit' });
      const later = gate.take(events.slice(silentAfter));
      assert.deepEqual([...atLimit, ...later], atDue.released ? events : []);
    });

    test(`${name}: an upstream that returns in time is judged as if it had never been silent`, () => {
      const clock = new FakeClock();
      const gate = hold({}, clock);
      gate.take(events.slice(0, silentAfter));
      clock.advance(atDue.ms - 1);
      assert.deepEqual(gate.take(events.slice(silentAfter)), events);
      assert.equal(gate.dueMs, Infinity);
    });

    test(`${name}: as a unary answer no limit of the gate touches it`, () => {
      const gate = gateWith(scripted(0, sure), {
        request,
        delivery: 'unary',
        limits: { maxHoldTokens: 1, maxHoldMs: 1, maxFormatMs: 1, maxFormatBytes: 1 },
      });
      assert.deepEqual(gate.take(events.slice(0, -1)), []);
      assert.equal(gate.dueMs, Infinity);
      assert.deepEqual(gate.take(events.slice(-1)), events);
    });
  }

  test('text that does not pass at its limit escalates as hold_limit, with its score', () => {
    const gate = gateWith(scripted(0, unsure), { limits: { ...limits, maxHoldTokens: 2 } });
    assert.deepEqual(gate.take(text.slice(0, -1)), []);
    assert.deepEqual(gate.verdict, { type: 'escalate', score: 0.2, reason: 'hold_limit' });
  });

  test('a call that a cap of the answer cuts escalates as hold_limit', () => {
    for (const delivery of ['stream', 'unary'] as const) {
      const gate = gateWith(scripted(0, sure), { request: withTools, delivery });
      assert.deepEqual(gate.take([...weatherCall.slice(0, 4), finish(9, 'length')]), []);
      assert.equal(gate.verdict?.reason, 'hold_limit');
    }
  });
});
