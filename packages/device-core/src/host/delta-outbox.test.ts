import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { AnswerSequence, type AnswerPart, type DeviceMessage, type MessageOf } from '@lfo/protocol';
import { coalesceChars, coalesceMs, DeltaOutbox } from './delta-outbox.ts';

type Delta = MessageOf<DeviceMessage, 'delta'>;

function outbox() {
  const clock = new FakeClock();
  const sent: Delta[] = [];
  const sink = { writable: true, maxMessageBytes: 1024 * 1024, say: (delta: Delta) => sent.push(delta) > 0 };
  return { clock, sent, sink, box: new DeltaOutbox(7, sink, clock) };
}

const text = (value: string): AnswerPart => ({ k: 'text', text: value });

test('the first part leaves at once, the next ones together after 25 ms', () => {
  const { clock, sent, box } = outbox();
  box.push(text('a'));
  assert.deepEqual(sent, [{ t: 'delta', id: 7, n: 0, parts: [text('a')] }]);
  box.push(text('b'));
  box.push(text('c'));
  clock.advance(coalesceMs - 1);
  assert.equal(sent.length, 1);
  clock.advance(1);
  assert.deepEqual(sent[1], { t: 'delta', id: 7, n: 1, parts: [text('bc')] });
  assert.equal(clock.pendingTimers, 0);
});

test('scores that come before the first token do not leave without it, nor delay it', () => {
  const { sent, box } = outbox();
  const scores: AnswerPart = { k: 'scores', of: 'text', taken: 'raw', scores: [{ token: 'a', lp: -1 }] };
  box.push(scores);
  assert.deepEqual(sent, []);
  box.push(text('a'));
  assert.deepEqual(sent, [{ t: 'delta', id: 7, n: 0, parts: [scores, text('a')] }]);
});

test('512 characters do not wait for the timer', () => {
  const { clock, sent, box } = outbox();
  box.push(text('a'));
  box.push(text('x'.repeat(coalesceChars)));
  assert.equal(sent.length, 2);
  assert.equal(clock.pendingTimers, 0);
});

test('only neighbours of one kind are merged, and the order is kept', () => {
  const { sent, box } = outbox();
  box.push(text('first'));
  const parts: AnswerPart[] = [
    { k: 'reasoning', text: 'a' },
    { k: 'reasoning', text: 'b' },
    text('c'),
    { k: 'call', index: 0, id: 'i', name: 'f' },
    { k: 'args', index: 0, json: '{"a"' },
    { k: 'args', index: 0, json: ':1}' },
    { k: 'call_end', index: 0 },
    text('d'),
  ];
  for (const part of parts) box.push(part);
  box.flush();
  assert.deepEqual(sent[1]?.parts, [
    { k: 'reasoning', text: 'ab' },
    text('c'),
    { k: 'call', index: 0, id: 'i', name: 'f' },
    { k: 'args', index: 0, json: '{"a":1}' },
    { k: 'call_end', index: 0 },
    text('d'),
  ]);
});

test('while the link is full everything is held and merged; a drain sends it as one delta', () => {
  const { clock, sent, sink, box } = outbox();
  box.push(text('a'));
  sink.writable = false;
  for (let i = 0; i < 1000; i++) box.push(text('0123456789'));
  clock.advance(60_000);
  assert.equal(sent.length, 1);
  assert.equal(box.full, false);
  sink.writable = true;
  box.drained();
  assert.deepEqual(sent[1]?.parts, [text('0123456789'.repeat(1000))]);
});

test('an outbox that holds 64 Ki characters is full, and what it held leaves in deltas that fit a frame', () => {
  const { sent, sink, box } = outbox();
  sink.writable = false;
  const piece = 'z'.repeat(40_000);
  for (let i = 0; i < 3; i++) box.push(text(piece));
  assert.equal(box.full, true);
  sink.writable = true;
  box.drained();
  assert.deepEqual(
    sent.map(({ n }) => n),
    [0, 1, 2],
  );
  assert.equal(box.full, false);
  assert.equal(
    sent.flatMap(({ parts }) => parts.map((part) => (part.k === 'text' ? part.text : ''))).join(''),
    piece.repeat(3),
  );
});

test('a discarded outbox sends nothing more', () => {
  const { clock, sent, box } = outbox();
  box.push(text('a'));
  box.push(text('b'));
  box.discard();
  clock.advance(1000);
  assert.equal(sent.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

test('a sequence takes each delta once, drops repeats and notices a gap', () => {
  const sequence = new AnswerSequence();
  assert.deepEqual(
    [0, 1, 1, 0, 2, 4].map((n) => sequence.take(n)),
    ['next', 'next', 'repeated', 'repeated', 'next', 'gap'],
  );
});

test('parts are cut to what the link takes, and no character in two', () => {
  const { sent, sink, box } = outbox();
  sink.maxMessageBytes = 65_536;
  const long = `x${'\u{1F600}'.repeat(20_000)}\u0000`;
  box.push(text(long));
  box.push({ k: 'args', index: 0, json: '\u0001'.repeat(30_000) });
  box.flush();
  assert.ok(sent.length > 2);
  for (const delta of sent) assert.ok(Buffer.byteLength(JSON.stringify(delta)) <= 65_536);
  const parts = sent.flatMap((delta) => delta.parts);
  assert.equal(parts.map((part) => (part.k === 'text' ? part.text : '')).join(''), long);
  assert.equal(parts.map((part) => (part.k === 'args' ? part.json : '')).join(''), '\u0001'.repeat(30_000));
  assert.ok(parts.every((part) => part.k !== 'text' || part.text.isWellFormed()));
  assert.deepEqual(
    sent.map(({ n }) => n),
    sent.map((_, at) => at),
  );
});

test('scores held back for long are cut to what the link takes', () => {
  const { sent, sink, box } = outbox();
  sink.maxMessageBytes = 65_536;
  const top = Array.from({ length: 20 }, (_, at) => ({ token: ` word ${at}`, lp: -12.345678901234 }));
  const scores = Array.from({ length: 300 }, (_, at) => ({ token: ` word ${at}`, lp: -0.1234567890123, top }));
  box.push({ k: 'scores', of: 'call', taken: 'raw', scores });
  box.push(text('x'));
  box.flush();
  for (const delta of sent) assert.ok(Buffer.byteLength(JSON.stringify(delta)) <= 65_536);
  const parts = sent.flatMap((delta) => delta.parts);
  assert.deepEqual(
    parts.flatMap((part) => (part.k === 'scores' ? part.scores : [])),
    scores,
  );
  assert.deepEqual(parts.at(-1), text('x'));
});
