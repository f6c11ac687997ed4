import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tracesOf } from './traces-of.ts';

const secret = 'canary/"é&<8Kp1?x';
const bytes = Buffer.from(secret);

const hidings: Readonly<Record<string, string>> = {
  plain: secret,
  JSON: JSON.stringify({ secret }),
  'JSON in JSON': JSON.stringify(JSON.stringify({ secret })),
  'URL-encoded': encodeURIComponent(secret),
  hex: bytes.toString('hex'),
  base64: bytes.toString('base64'),
  'base64 among others': Buffer.from(`user:${secret}!`).toString('base64'),
  'base64 one further': Buffer.from(`user1:${secret}!`).toString('base64'),
  'base64url one more': Buffer.from(`user12:${secret}!`).toString('base64url'),
};

for (const [name, text] of Object.entries(hidings)) {
  test(`a secret hidden as ${name} is found`, () => {
    assert.deepEqual(tracesOf({ secret, other: 'something else' }, Buffer.from(`before ${text} after`)), ['secret']);
  });
}

test('a text without it is innocent', () => {
  assert.deepEqual(tracesOf({ secret }, Buffer.from('canary and nothing more')), []);
});
