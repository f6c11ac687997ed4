import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';

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

test('of two keys revoked at once none stays hidden', { skip: withoutPostgres, timeout: 20_000 }, async (t) => {
  const url = await server().database();
  const store = new PostgresStore(url);
  const other = new PostgresStore(url);
  t.after(() => Promise.all([store.close(), other.close()]));
  const table = new KeyTable(store);
  const order = { name: 'app', scopes: ['chat'], limits: {} } as const;
  const [slow, fast] = [await table.create(order, 1_000), await table.create(order, 2_000)];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: held, resolve: hold } = Promise.withResolvers<void>();
  const holding = other.db.transaction().execute(async (transaction) => {
    await transaction.selectFrom('keys').select('id').where('id', '=', slow.key.id).forUpdate().execute();
    hold();
    await released;
  });
  await held;
  const revoking = table.revoke(slow.key.id, 3_000);
  // It has read the version and waits for the row.
  const waiting = async (): Promise<boolean> => {
    const { rows } = await sql`select 1 from pg_locks where not granted`.execute(store.db);
    return rows.length > 0;
  };
  while (!(await waiting())) await new Promise((resolve) => setTimeout(resolve, 5));
  await new KeyTable(other).revoke(fast.key.id, 3_000);
  const between = await table.stamp();
  release();
  await Promise.all([holding, revoking]);
  assert.notEqual(await table.stamp(), between);
});

test(
  'a key that is revoked while its limits are changed stays revoked',
  { skip: withoutPostgres, timeout: 20_000 },
  async (t) => {
    const url = await server().database();
    const store = new PostgresStore(url);
    const other = new PostgresStore(url);
    t.after(() => Promise.all([store.close(), other.close()]));
    const table = new KeyTable(store);
    const { key } = await table.create({ name: 'app', scopes: ['chat'], limits: {} }, 1_000);
    const { promise: changing, resolve: started } = Promise.withResolvers<readonly unknown[]>();
    await other.db.transaction().execute(async (transaction) => {
      await transaction.updateTable('keys').set({ revoked_ms: 2_000, version: 9 }).where('id', '=', key.id).execute();
      const change = table.change(key.id, { limits: { requestsPerDay: 5 } });
      // It has read the key as it was before, and waits for the row.
      const waiting = async (): Promise<boolean> => {
        const { rows } = await sql`select 1 from pg_locks where not granted`.execute(other.db);
        return rows.length > 0;
      };
      while (!(await waiting())) await new Promise((resolve) => setTimeout(resolve, 5));
      started(change);
    });
    assert.deepEqual(await changing, [], 'there was no key in force to change');
    assert.equal((await table.list())[0]?.revokedMs, 2_000);
  },
);
