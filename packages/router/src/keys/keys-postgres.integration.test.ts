import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { PostgresStore } from '../records/store/postgres-store.ts';
import { KeyTable } from './key-table.ts';
import { StoredUsageLedger } from './usage-ledger.ts';

const server = postgresOfFile();

test('keys and usage are kept in PostgreSQL as in SQLite', { skip: withoutPostgres }, async (t) => {
  const url = await server().database();
  const store = new PostgresStore(url);
  const other = new PostgresStore(url);
  t.after(() => Promise.all([store.close(), other.close()]));
  const table = new KeyTable(store);
  const empty = await table.stamp();
  const order = {
    name: 'team',
    scopes: ['chat'],
    models: ['small'],
    limits: { usdPerDay: 0.5 },
    expiresMs: 9e12,
  } as const;
  const { key } = await table.create(order, 1_000);
  const second = await table.create(order, 2_000);
  assert.deepEqual(await new KeyTable(other).list(), [key, second.key]);
  const full = await table.stamp();
  assert.notEqual(full, empty);
  assert.deepEqual(await table.revoke('team', 3_000), [key.id, second.key.id]);
  assert.notEqual(await table.stamp(), full);
  assert.equal(await table.forgetRevoked(), 2);

  const clock = new FakeClock();
  const ledgers = [store, other].map((each) => new StoredUsageLedger(each, clock));
  for (const ledger of ledgers) {
    await ledger.start();
    ledger.add('k', { requests: 1, tokens: 5_000_000_000, usd: 0.25 });
    await ledger.flush();
  }
  await ledgers[0]?.flush();
  for (const ledger of ledgers) {
    assert.deepEqual(ledger.today('k'), { requests: 2, tokens: 10_000_000_000, usd: 0.5 });
    await ledger.close();
  }
});
