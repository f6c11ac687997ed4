import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { startPgBouncer, withoutPgBouncer } from '@lfo/testing/pgbouncer.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { systemClock } from '../../core/clock.ts';
import { KeyTable } from '../../keys/key-table.ts';
import { PostgresLimits } from '../../keys/limits/postgres-limits.ts';
import { nothing } from '../../keys/limits/limit-store.ts';
import { PostgresListener } from './postgres-listener.ts';
import { PostgresStore } from './postgres-store.ts';
import { sampleRow } from './store-contract.ts';
import { StoreError } from './store-error.ts';

const server = postgresOfFile();
const skip = withoutPostgres === false ? withoutPgBouncer : withoutPostgres;

test(
  'behind a PgBouncer in transaction mode the schema is made, and keys, rows and limits get through',
  { skip },
  async (t) => {
    const direct = await server().database();
    const url = await startPgBouncer(t, direct);
    const stores = [new PostgresStore(url), new PostgresStore(url), new PostgresStore(url)];
    t.after(() => Promise.all(stores.map((store) => store.close())));
    const [store, other] = stores;
    assert.ok(store !== undefined && other !== undefined);
    await Promise.all(stores.map((each) => each.query('select 1', [])));
    const { key } = await new KeyTable(store).create({ name: 'app', scopes: ['chat'], limits: {} }, 1);
    assert.deepEqual(await new KeyTable(other).list(), [key]);
    await store.append('requests', [sampleRow('1'), sampleRow('2')]);
    assert.equal((await other.db.selectFrom('requests').select('id').execute()).length, 2);
    const limits = new PostgresLimits(store, 'r');
    const ask = { keyId: 'k', limits: { requestsPerMinute: 1 }, tokens: 1, usd: 0, mode: 'auto' } as const;
    const known = { minute: undefined, unwritten: nothing };
    assert.deepEqual(
      [(await limits.take(ask, known)).isGranted, (await limits.take(ask, known)).isGranted],
      [true, false],
    );
  },
);

test('behind a PgBouncer transactions end in time, and who only reads cannot write', { skip }, async (t) => {
  const url = await startPgBouncer(t, await server().database());
  const store = new PostgresStore(url, { statementMs: 300 });
  t.after(() => store.close());
  await store.query('select 1', []);
  await assert.rejects(
    store.db.transaction().execute((transaction) => sql`select pg_sleep(5)`.execute(transaction)),
    (error: unknown) => error instanceof StoreError && error.code === '57014',
  );
  const reader = new PostgresStore(url, { readOnly: true });
  t.after(() => reader.close());
  assert.equal((await reader.db.selectFrom('requests').selectAll().execute()).length, 0);
  await assert.rejects(
    reader.append('requests', [sampleRow('1')]),
    (error: unknown) => error instanceof StoreError && error.code === '25006',
  );
  const { rows } = await sql<{ limit: string }>`show statement_timeout`.execute(store.db);
  assert.deepEqual(Object.values(rows[0] ?? {}), ['0'], 'nothing stays behind at the server');
});

test('a listener behind a PgBouncer knows that it hears nothing', { skip, timeout: 20_000 }, async (t) => {
  const direct = await server().database();
  const url = await startPgBouncer(t, direct);
  const store = new PostgresStore(url);
  const [deaf, hearing] = [url, direct].map((each) => new PostgresListener(each, store, systemClock));
  t.after(async () => {
    await deaf?.close();
    await hearing?.close();
    await store.close();
  });
  deaf?.start();
  hearing?.start();
  await until('it listens', async () => hearing?.isListening === true);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.equal(deaf?.isListening, false);
});
