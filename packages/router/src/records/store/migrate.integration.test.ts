import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test, type TestContext } from 'node:test';
import { sql } from 'kysely';
import { Client } from 'pg';

import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { KeyTable } from '../../keys/key-table.ts';
import { StoredHistory } from '../queries/stored-history.ts';
import { summary } from '../queries/summary.ts';
import type { Store } from '../tables.ts';
import { PostgresStore } from './postgres-store.ts';
import { SqliteStore } from './sqlite-store.ts';
import { sampleRow } from './store-contract.ts';

const server = postgresOfFile();

interface Database {
  /** Runs statements on it beside LFO. */
  readonly run: (statements: string) => Promise<void>;
  /** A router's store on it. */
  readonly open: () => Store;
  /** Tables, their columns and indexes, as text. */
  readonly schema: () => Promise<readonly string[]>;
}

async function sqlite(t: TestContext): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-migrate-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'lfo.db');
  const beside = <T>(work: (database: DatabaseSync) => T): T => {
    const database = new DatabaseSync(file);
    try {
      return work(database);
    } finally {
      database.close();
    }
  };
  return {
    run: async (statements) => beside((database) => database.exec(statements)),
    open() {
      const store = new SqliteStore(file);
      t.after(() => store.close());
      return store;
    },
    schema: async () =>
      beside((database) => [
        ...database
          .prepare(
            `select m.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || c.pk as line
             from sqlite_master m join pragma_table_info(m.name) c where m.type = 'table' order by 1`,
          )
          .all()
          .map(({ line }) => String(line)),
        ...database
          .prepare(
            `select name || ' ' || coalesce(sql, '') as line from sqlite_master where type <> 'table' order by 1`,
          )
          .all()
          .map(({ line }) => String(line)),
      ]),
  };
}

async function postgresql(t: TestContext): Promise<Database> {
  const url = await server().database();
  const beside = async <T>(work: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client(url);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  };
  return {
    run: (statements) => beside(async (client) => void (await client.query(statements))),
    open() {
      const store = new PostgresStore(url);
      t.after(() => store.close());
      return store;
    },
    schema: () =>
      beside(async (client) => {
        const { rows } = await client.query<{ line: string }>(
          `select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable as line
           from information_schema.columns where table_schema = 'public'
           union all select indexdef from pg_indexes where schemaname = 'public'
           union all select tgname || ' ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
           union all select proname || ' ' || prosrc from pg_proc where proname = 'lfo_usage'
           union all select relname || ' ' || array_to_string(reloptions, ' ') from pg_class where reloptions is not null
             and relname = 'requests'
           order by 1`,
        );
        return rows.map(({ line }) => line);
      }),
  };
}

const databases = [
  { name: 'sqlite', skip: false, create: sqlite },
  { name: 'postgres', skip: withoutPostgres, create: postgresql },
] as const;

const fixture = (name: string): string =>
  readFileSync(new URL(`fixtures/before-first-release.${name}.sql`, import.meta.url), 'utf8');

/** Without the tables in which the versions before the first release noted their steps. */
const ours = (schema: readonly string[]): readonly string[] =>
  schema.filter((line) => !line.includes('kysely_migration'));

for (const { name, skip, create } of databases) {
  describe(`the schema, ${name}`, { skip, timeout: 60_000 }, () => {
    test('a database of the nine steps before the first release is taken over, rows and keys kept', async (t) => {
      const database = await create(t);
      await database.run(fixture(name));
      const store = database.open();
      const history = new StoredHistory(store, new FakeClock(0, 1_700_000_100_000));
      const { requests } = await history.page({}, 10);
      assert.deepEqual(
        requests.map(({ id, route, costUsd }) => [id.at(-1), route, costUsd]),
        [
          ['3', null, 0.000125],
          ['2', 'cloud', 0.5],
          ['1', 'local', 0.000125],
        ],
      );
      const first = await history.find(requests[2]?.id ?? '');
      assert.deepEqual([first?.feedback?.verdict, first?.capture?.answer.text], ['good', 'Hi']);
      const keys = await new KeyTable(store).list();
      assert.deepEqual(
        keys.map(({ id, name: label, limits, tiers, revokedMs }) => [id, label, limits, tiers, revokedMs]),
        [
          ['0123456789ab', 'app', { usdPerDay: 1 }, ['local'], undefined],
          ['ba9876543210', 'old', {}, undefined, 1_700_000_000_100],
        ],
      );
      assert.deepEqual(await store.db.selectFrom('key_usage').selectAll().execute(), [
        { key_id: '0123456789ab', day: 19_675, requests: 4, tokens: 900, usd: 0.25 },
      ]);
      assert.deepEqual(await store.db.selectFrom('signatures').select('signature').execute(), [
        { signature: 'opaque' },
      ]);

      const before = await summary(store, { fromMs: 0 });
      assert.deepEqual([before.requests, before.gaps.length], [3, 1]);
      await store.append('requests', [sampleRow('018bcfe5-6801-7000-8000-000000000004', { predicted_wait_ms: 900 })]);
      assert.equal((await summary(store, { fromMs: 0 })).requests, 4);
    });

    test('a database that was taken over has the schema of a new one', async (t) => {
      const [old, fresh] = [await create(t), await create(t)];
      await old.run(fixture(name));
      for (const { open } of [old, fresh]) await open().db.selectFrom('keys').select('id').execute();
      assert.deepEqual(ours(await old.schema()), await fresh.schema());
    });

    test('one that stopped at an earlier step is refused by name, and stays as it was', async (t) => {
      const database = await create(t);
      await database.run(fixture(name));
      const schema = name === 'sqlite' ? '' : 'public.';
      await database.run(`delete from ${schema}kysely_migration where name >= '009'`);
      const before = await database.schema();
      await assert.rejects(
        database.open().db.selectFrom('keys').select('id').execute(),
        /last step is 008-record-gaps/,
      );
      assert.deepEqual(await database.schema(), before);
    });

    test('fault 66: after a rollback, what a newer release added is tolerated; rows and keys stay and are written', async (t) => {
      const database = await create(t);
      const newer = database.open();
      await newer.append('requests', [sampleRow('1')]);
      const { key } = await new KeyTable(newer).create({ name: 'app', scopes: ['chat'], limits: {} }, 1);
      await newer.close();
      await database.run(`
        insert into schema_steps (name) values ('099-of-a-newer-release');
        alter table requests add column site text;
        alter table keys add column owner text default 'nobody' not null;
        create table sites (name text primary key);
        create index requests_site on requests (site, id);
      `);

      const older = database.open();
      assert.deepEqual(await new KeyTable(older).list(), [key]);
      await older.append('requests', [sampleRow('2')]);
      await new KeyTable(older).create({ name: 'second', scopes: ['chat'], limits: {} }, 2);
      const { requests } = await new StoredHistory(older, new FakeClock()).page({}, 10);
      assert.deepEqual(
        requests.map(({ id }) => id),
        ['2', '1'],
      );
      assert.equal((await summary(older, { fromMs: 0 })).requests, 2);
      const { rows } = await sql<{ name: string }>`select name from schema_steps order by name`.execute(older.db);
      assert.deepEqual(
        rows.map((step) => step.name),
        [
          '001-base',
          '002-devices',
          '003-usage',
          '004-judgements',
          '020-limits',
          '021-peers',
          '030-roll-up-by-batch',
          '031-wake',
          '050-sites',
          '099-of-a-newer-release',
        ],
      );
    });
  });
}
