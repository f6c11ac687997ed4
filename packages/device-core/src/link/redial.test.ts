import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Redialling } from './redial.ts';

const waits = (dialling: Redialling, ...codes: readonly string[]): readonly (number | undefined)[] =>
  codes.map((code) => {
    const next = dialling.after(code, 0);
    return next.type === 'again' ? next.afterMs : undefined;
  });

test('a lost link is dialled again at once, then after growing pauses with full jitter', () => {
  const dialling = new Redialling(() => 1);
  assert.deepEqual(
    waits(dialling, ...Array.from({ length: 8 }, () => 'closed')),
    [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
  );
  assert.deepEqual(waits(new Redialling(() => 0), 'closed', 'closed'), [0, 0]);
});

test('a link that lived a minute begins anew', () => {
  const dialling = new Redialling(() => 1);
  waits(dialling, 'closed', 'closed', 'closed');
  assert.deepEqual(dialling.after('closed', 60_000), { type: 'again', afterMs: 500 });
});

test('what the router said decides how long to stay away', () => {
  const dialling = new Redialling(() => 1);
  assert.deepEqual(
    waits(
      dialling,
      'revoked',
      'pairing_refused',
      'replaced',
      'unknown_key',
      'duplicate_identity',
      'unsupported_version',
    ),
    [undefined, undefined, 30_000, 300_000, 300_000, 3_600_000],
  );
});
