import assert from 'node:assert/strict';
import type { FinishEvent, InferenceEvent } from '@lfo/router/src/core/events.ts';

/** Fails unless the events are `start (…)* finish` with whole tool calls and sane numbers; returns the finish. */
export function assertGrammar(events: readonly InferenceEvent[]): FinishEvent {
  assert.equal(events[0]?.type, 'start', 'starts with start');
  const finish = events.at(-1);
  assert.ok(finish?.type === 'finish', 'ends with finish');
  assert.equal(events.filter(({ type }) => type === 'start').length, 1, 'one start');
  assert.equal(events.filter(({ type }) => type === 'finish').length, 1, 'one finish');
  for (const [name, value] of Object.entries(finish.usage)) {
    if (name !== 'estimated')
      assert.ok(Number.isSafeInteger(value) && Number(value) >= 0, `usage.${name} is ${String(value)}`);
  }
  assertToolCalls(events, finish);
  for (const event of events) {
    if (event.type !== 'token-scores') continue;
    for (const { logprob } of event.scores) assert.ok(Number.isFinite(logprob) && logprob <= 0, `logprob ${logprob}`);
  }
  return finish;
}

/** All text of the answer. */
export function textOfEvents(events: readonly InferenceEvent[]): string {
  return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
}

/** The tool calls of the answer, with their arguments' JSON text. */
export function toolCallsOf(
  events: readonly InferenceEvent[],
): { id: string; name: string; json: string; isEnded: boolean }[] {
  const calls: { id: string; name: string; json: string; isEnded: boolean }[] = [];
  for (const event of events) {
    if (event.type === 'tool-call-start')
      calls[event.index] = { id: event.id, name: event.name, json: '', isEnded: false };
    const call = 'index' in event ? calls[event.index] : undefined;
    if (event.type === 'tool-call-delta' && call !== undefined) call.json += event.json;
    if (event.type === 'tool-call-end' && call !== undefined) call.isEnded = true;
  }
  return calls;
}

function assertToolCalls(events: readonly InferenceEvent[], finish: FinishEvent): void {
  let next = 0;
  const open = new Set<number>();
  const ids = new Set<string>();
  for (const event of events) {
    if (event.type === 'tool-call-start') {
      assert.equal(event.index, next++, 'indexes count up');
      assert.match(event.id, /^[A-Za-z0-9_-]{1,40}$/);
      assert.notEqual(event.name, '');
      assert.equal(ids.has(event.id), false, 'ids are unique');
      ids.add(event.id);
      open.add(event.index);
    } else if (event.type === 'tool-call-delta') {
      assert.ok(open.has(event.index), 'a delta belongs to a call under way');
    } else if (event.type === 'tool-call-end') {
      assert.ok(open.delete(event.index), 'a call ends once');
    }
  }
  for (const { json, isEnded, name } of toolCallsOf(events)) {
    if (isEnded) assert.doesNotThrow(() => void JSON.parse(json), `arguments of ${name}`);
  }
  if (finish.reason !== 'length' && finish.reason !== 'content_filter') {
    assert.equal(open.size, 0, 'every call has ended');
    assert.equal(finish.reason, next > 0 ? 'tool_calls' : 'stop');
  }
}
