import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toolCallsOf } from '@lfo/testing/event-grammar.ts';
import type { InferenceEvent } from '../../../core/events.ts';
import type { JsonValue } from '../../../core/json.ts';
import { ToolCallReader } from './tool-calls.ts';

const requestId = '01890000-0000-7000-8000-0123456789ab';

function read(...deltas: JsonValue[]): {
  events: InferenceEvent[];
  isComplete: boolean;
  calls: ReturnType<typeof toolCallsOf>;
} {
  const reader = new ToolCallReader(requestId);
  const events = deltas.flatMap((delta) => reader.read(delta));
  const isComplete = reader.end(events);
  return { events, isComplete, calls: toolCallsOf(events) };
}

const fn = (name: string | undefined, args: JsonValue | undefined): JsonValue => ({
  ...(name === undefined ? {} : { name }),
  ...(args === undefined ? {} : { arguments: args }),
});

const weather = { id: 'call_1', name: 'weather', json: '{"a":1}', isEnded: true };

/** All of these mean one call of `weather` with `{"a":1}`. */
const oneCall: readonly [string, JsonValue[]][] = [
  [
    'as the rules have it',
    [
      { index: 0, id: 'call_1', type: 'function', function: fn('weather', '') },
      { index: 0, function: fn(undefined, '{"a"') },
      { index: 0, function: fn(undefined, ':1}') },
    ],
  ],
  ['whole in one delta', [{ index: 0, id: 'call_1', function: fn('weather', '{"a":1}') }]],
  ['without an index', [{ id: 'call_1', function: fn('weather', '{"a"') }, { function: fn(undefined, ':1}') }]],
  [
    'with id and name in every delta',
    [
      { index: 0, id: 'call_1', function: fn('weather', '{"a"') },
      { index: 0, id: 'call_1', function: fn('weather', ':1}') },
    ],
  ],
  [
    'with the id in every delta and no index',
    [
      { id: 'call_1', function: fn('weather', '{"a"') },
      { id: 'call_1', function: fn('weather', ':1}') },
    ],
  ],
  ['with the arguments as an object', [{ index: 0, id: 'call_1', function: fn('weather', { a: 1 }) }]],
  [
    'with the name after the first arguments',
    [
      { index: 0, id: 'call_1', function: fn(undefined, '{"a"') },
      { index: 0, function: fn('weather', ':1}') },
    ],
  ],
  [
    'with empty ids and names later',
    [
      { index: 0, id: 'call_1', function: fn('weather', '{"a":') },
      { index: 0, id: '', function: fn('', '1}') },
    ],
  ],
  [
    'with nonsense between',
    [
      null,
      'x',
      { index: 0, id: 'call_1', function: fn('weather', '{"a":1}') },
      { index: 0, function: fn(undefined, null) },
    ],
  ],
];

for (const [name, deltas] of oneCall) {
  test(`a call ${name} is read`, () => {
    assert.deepEqual(read(...deltas).calls, [weather]);
  });
}

/** All of these mean two calls. */
const twoCalls: readonly [string, JsonValue[]][] = [
  [
    'interleaved',
    [
      { index: 0, id: 'x', function: fn('f', '{') },
      { index: 1, id: 'y', function: fn('g', '{') },
      { index: 0, function: fn(undefined, '}') },
      { index: 1, function: fn(undefined, '}') },
    ],
  ],
  [
    'with the same index for both',
    [
      { index: 0, id: 'x', function: fn('f', '{}') },
      { index: 0, id: 'y', function: fn('g', '{}') },
    ],
  ],
  [
    'without any index',
    [
      { id: 'x', function: fn('f', '{}') },
      { id: 'y', function: fn('g', '{}') },
    ],
  ],
  [
    'with indexes from 1',
    [
      { index: 1, id: 'x', function: fn('f', '{}') },
      { index: 2, id: 'y', function: fn('g', '{}') },
    ],
  ],
];

for (const [name, deltas] of twoCalls) {
  test(`two calls ${name} are kept apart`, () => {
    assert.deepEqual(
      read(...deltas).calls.map(({ name, json }) => [name, json]),
      [
        ['f', '{}'],
        ['g', '{}'],
      ],
    );
  });
}

test('ids are made where none came, and differ', () => {
  const { calls } = read({ function: fn('f', '{}') }, { function: fn('f', '{}') });
  assert.equal(calls.length, 2);
  assert.notEqual(calls[0]?.id, calls[1]?.id);
  for (const { id } of calls) assert.match(id, /^call_[A-Za-z0-9_]{5,35}$/);
});

test('an id that clients would choke on is replaced, always by the same', () => {
  const long = 'x'.repeat(60);
  const id = read({ id: long, function: fn('f', '{}') }).calls[0]?.id ?? '';
  assert.match(id, /^call_[a-f0-9]{32}$/);
  assert.equal(read({ id: long, function: fn('f', '{}') }).calls[0]?.id, id);
  assert.notEqual(read({ id: `${long}y`, function: fn('f', '{}') }).calls[0]?.id, id);
});

test('a call without arguments has empty ones', () => {
  assert.deepEqual(read({ index: 0, id: 'call_1', function: fn('weather', '') }).calls, [{ ...weather, json: '{}' }]);
});

test('a call that was cut off never ends', () => {
  for (const deltas of [
    [{ index: 0, id: 'a', function: fn('f', '{"a":') }],
    [{ index: 0, id: 'a', function: fn(undefined, '{}') }],
  ]) {
    const { calls, isComplete } = read(...deltas);
    assert.equal(isComplete, false);
    assert.equal(
      calls.some(({ isEnded }) => isEnded),
      false,
    );
  }
});

test('the signature of Google’s layer comes with the call', () => {
  const [start] = read({
    id: 'a',
    function: fn('f', '{}'),
    extra_content: { google: { thought_signature: 's' } },
  }).events;
  assert.ok(start?.type === 'tool-call-start' && start.thoughtSignature === 's');
});
