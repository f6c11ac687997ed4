import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../core/request.ts';
import { mostRepeatedCall } from './repeated-calls.ts';

const turn = (...calls: readonly (readonly [name: string, json: string])[]): Message => ({
  role: 'assistant',
  content: [],
  toolCalls: calls.map(([name, json], at) => ({ id: `c${at}`, name, arguments: json })),
});

test('security 18: the same tool with the same arguments counts, however it is spaced and wherever it stands', () => {
  const user: Message = { role: 'user', content: [{ type: 'text', text: '{"a":1}' }] };
  assert.equal(mostRepeatedCall([user, user]), 0);
  assert.equal(mostRepeatedCall([turn(['f', '{"a":1}'], ['f', '{"a":2}']), turn(['g', '{"a":1}'])]), 1);
  assert.equal(mostRepeatedCall([turn(['f', '{"a":1}']), user, turn(['g', '{}']), turn(['f', ' { "a": 1 } '])]), 2);
  assert.equal(mostRepeatedCall([turn(['f', 'not json']), turn(['f', 'not json']), turn(['f', 'not  json'])]), 2);
});
