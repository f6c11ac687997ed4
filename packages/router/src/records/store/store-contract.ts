import assert from 'node:assert/strict';
import { test, type TestContext, type TestOptions } from 'node:test';
import { sql } from 'kysely';
import type { RequestRow, Store } from '../tables.ts';
import { StoreError } from './store-error.ts';

/** What a kind of database must offer to be put through the contract. */
export interface StoreUnderTest {
  /** An empty database of its own; ends with the test. */
  open(t: TestContext): Promise<Store>;
  /** A second router on the same database. */
  openAgain(t: TestContext, first: Store): Promise<Store>;
}

/** A complete row; every column has a value of its own so that a mix-up shows. */
export function sampleRow(id: string, changes: Partial<RequestRow> = {}): RequestRow {
  return {
    id,
    time_ms: 1_700_000_000_001,
    client_key: 'key-1',
    mode: 'auto',
    stream: 1,
    status: 200,
    error_code: null,
    error_source: null,
    route: 'local',
    backend: 'embedded',
    model: 'qwen',
    reason: 'confident',
    reasons: '["confident","local_first"]',
    attempts: '[{"tier":"local"}]',
    degraded: 0,
    confidence: 0.875,
    threshold: 0.7,
    features: '{"a":1}',
    signals: '{"b":[1,"\\u0000ü🙂"]}',
    routed_tokens: 12,
    routed_tokens_from: 'bound',
    prompt_tokens: 11,
    completion_tokens: 5,
    reasoning_tokens: 0,
    cached_tokens: 3,
    tokens_estimated: 0,
    cost_usd: 0.000125,
    cost_avoided_usd: null,
    finish_reason: 'stop',
    native_finish_reason: null,
    total_ms: 812.5,
    first_token_ms: 200.25,
    committed_ms: 300,
    queue_ms: 1,
    local_ms: 811,
    cloud_ms: 0,
    held_ms: 100,
    overhead_ms: 0.75,
    warnings: '[]',
    predicted_wait_ms: 950,
    wait_ms: 1_210.5,
    device: 'phone',
    router: 'r-1',
    dialect: 'openai-chat',
    path: null,
    tools: 2,
    turned_away: 0,
    trace_id: null,
    ...changes,
  };
}

/** The behaviour every store shares. */
export function describeStore(name: string, subject: StoreUnderTest, options: TestOptions = {}): void {
  test(`${name}: a row comes back as it was written, nulls and fractions included`, options, async (t) => {
    const store = await subject.open(t);
    const row = sampleRow('a');
    await store.append('requests', [row]);
    const found = await store.db.selectFrom('requests').selectAll().execute();
    assert.deepEqual(found, [row]);
  });

  test(`${name}: a batch sent twice is stored once, and the first version stays`, options, async (t) => {
    const store = await subject.open(t);
    await store.append('requests', [sampleRow('a'), sampleRow('b')]);
    await store.append('requests', [sampleRow('a', { status: 500 }), sampleRow('c')]);
    const found = await store.db.selectFrom('requests').select(['id', 'status']).orderBy('id').execute();
    assert.deepEqual(
      found.map(({ id, status }) => [id, status]),
      [
        ['a', 200],
        ['b', 200],
        ['c', 200],
      ],
    );
  });

  test(`${name}: a row is replaced where that is asked for`, options, async (t) => {
    const store = await subject.open(t);
    await store.append('signatures', [{ key: 'k', signature: 'old', time_ms: 1 }]);
    await store.append('signatures', [{ key: 'k', signature: 'new', time_ms: 2 }], 'replace');
    const found = await store.db.selectFrom('signatures').selectAll().execute();
    assert.deepEqual(found, [{ key: 'k', signature: 'new', time_ms: 2 }]);
  });

  test(`${name}: of several versions of a row in one batch the last one stays`, options, async (t) => {
    const store = await subject.open(t);
    const version = (signature: string) => ({ key: 'k', signature, time_ms: 1 });
    await store.append('signatures', [version('one'), version('two'), version('three')], 'replace');
    const found = await store.db.selectFrom('signatures').select('signature').execute();
    assert.deepEqual(found, [{ signature: 'three' }]);
  });

  test(`${name}: text no database likes is stored as well as can be`, options, async (t) => {
    const store = await subject.open(t);
    await store.append('requests', [sampleRow('a', { backend: 'nul \0 half \ud83d "quoted" \\u0000 🙂' })]);
    const found = await store.db.selectFrom('requests').select('backend').executeTakeFirstOrThrow();
    assert.match(found.backend ?? '', /^nul . half \ufffd+ "quoted" \\u0000 🙂$/u);
  });

  test(`${name}: a batch of any size is stored whole or not at all`, options, async (t) => {
    const store = await subject.open(t);
    const bad = { ...sampleRow('bad'), mode: null };
    let stored = 0;
    for (const size of [1, 15, 16, 17, 32, 33, 64, 100]) {
      const rows = Array.from({ length: size }, (_, row) => sampleRow(`${size}-${row}`));
      // @ts-expect-error the column refuses null.
      await assert.rejects(store.append('requests', [...rows, bad]));
      await store.append('requests', rows);
      stored += size;
      const { count } = await store.db
        .selectFrom('requests')
        .select(({ fn }) => fn.countAll().as('count'))
        .executeTakeFirstOrThrow();
      assert.equal(Number(count), stored);
    }
  });

  test(`${name}: a row that the column types refuse is told from a database that fails`, options, async (t) => {
    const store = await subject.open(t);
    const refuses = (error: unknown): boolean => error instanceof StoreError && error.refusesRows;
    // @ts-expect-error the column refuses null.
    await assert.rejects(store.append('requests', [{ ...sampleRow('a'), mode: null }]), refuses);
    await assert.rejects(sql`select * from nothing_here`.execute(store.db), (error) => !refuses(error));
    await store.close();
    await assert.rejects(store.append('requests', [sampleRow('a')]), (error) => !refuses(error));
  });

  test(
    `${name}: a transaction that fails leaves nothing, and what is asked meanwhile waits for it`,
    options,
    async (t) => {
      const store = await subject.open(t);
      const failing = store.db.transaction().execute(async (transaction) => {
        await transaction.insertInto('requests').values(sampleRow('a')).execute();
        throw new RangeError('changed my mind');
      });
      const appended = store.append('requests', [sampleRow('b')]);
      await assert.rejects(failing, RangeError);
      await appended;
      const found = await store.db.selectFrom('requests').select('id').execute();
      assert.deepEqual(
        found.map(({ id }) => id),
        ['b'],
      );
    },
  );

  test(`${name}: nothing appended is nothing done`, options, async (t) => {
    const store = await subject.open(t);
    await store.append('requests', []);
  });

  test(`${name}: a failed query rejects and the next one works`, options, async (t) => {
    const store = await subject.open(t);
    await assert.rejects(sql`select * from nothing_here`.execute(store.db));
    const { rows } = await sql<{ one: number }>`select 1 as one`.execute(store.db);
    assert.equal(rows[0]?.one, 1);
  });

  test(`${name}: counts, sums and times come back as numbers`, options, async (t) => {
    const store = await subject.open(t);
    await store.append('requests', [sampleRow('a'), sampleRow('b')]);
    const found = await store.db
      .selectFrom('requests')
      .select(({ fn }) => [
        fn.countAll().as('count'),
        fn.sum('prompt_tokens').as('tokens'),
        fn.sum('time_ms').as('times'),
        fn.max('time_ms').as('latest'),
      ])
      .executeTakeFirstOrThrow();
    assert.deepEqual({ ...found }, { count: 2, tokens: 22, times: 3_400_000_000_002, latest: 1_700_000_000_001 });
  });

  test(`${name}: two routers start at once on one empty database and both write`, options, async (t) => {
    const first = await subject.open(t);
    const second = await subject.openAgain(t, first);
    await Promise.all([first.append('requests', [sampleRow('a')]), second.append('requests', [sampleRow('b')])]);
    const found = await second.db.selectFrom('requests').select('id').orderBy('id').execute();
    assert.deepEqual(
      found.map(({ id }) => id),
      ['a', 'b'],
    );
  });

  test(
    `${name}: closing finishes what was asked before, later calls are refused, and twice is once`,
    options,
    async (t) => {
      const store = await subject.open(t);
      const appended = store.append('requests', [sampleRow('a')]);
      await Promise.all([store.close(), store.close()]);
      await appended;
      await assert.rejects(store.append('requests', [sampleRow('b')]));
      await assert.rejects(store.db.selectFrom('requests').selectAll().execute());
    },
  );
}
