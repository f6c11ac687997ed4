import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { CompiledQuery, type KyselyPlugin, type RootOperationNode } from 'kysely';
import { keyUse } from '../../keys/key-use.ts';
import { SqliteStore } from '../store/sqlite-store.ts';
import { sampleRow } from '../store/store-contract.ts';
import type { Store } from '../tables.ts';
import { errorGroups } from './error-groups.ts';
import { readJudged } from './judged.ts';
import { recordedUse } from './steering-data.ts';
import { StoredHistory } from './stored-history.ts';
import { summary } from './summary.ts';

// SQLite keeps no statistics of our tables and takes an index of a route or key, which a third of all rows may have, for
// better than a span of time: such a question is answered in milliseconds by a young database and in seconds by an old one.

const nowMs = Date.UTC(2026, 10, 29, 12);
const dayMs = 86_400_000;
const id = 'a';

const questions: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
  'one request': (store) => historyOf(store).find(id),
  'a summary of a day': (store) => summary(store, { fromMs: nowMs - dayMs }),
  'a summary of a year': (store) => summary(store, { fromMs: nowMs - 365 * dayMs, untilMs: nowMs - 1 }),
  'a summary by key': (store) => summary(store, { fromMs: nowMs - dayMs }, 'client_key'),
  'errors of a day': (store) => errorGroups(store, { fromMs: nowMs - dayMs, untilMs: nowMs }),
  'judged answers of an hour': (store) => readJudged(store, { sinceMs: nowMs - 3_600_000, limit: 500 }),
  'what learning says of an hour': (store) => historyOf(store).learning('1h'),
  'confidence of an hour': (store) => historyOf(store).confidence('1h'),
  'what goals are steered by': (store) => recordedUse(store, nowMs),
  'what each key has used': (store) => keyUse(store, nowMs),
};

/** Ways into a table that grows with each request by which no more is read than was asked for. */
const bounded = /\b(?:id|time_ms|request_id|rowid)(?:[<>]=?|=)/;
/** The newest of a route or key, by an index that is in the order of ids. */
const newest = /USING (?:COVERING )?INDEX requests_(?:route \(route=\?|key \(client_key=\?)/;

for (const [name, ask] of Object.entries(questions)) {
  test(`${name}: no more rows are read than it is about`, async (t) => {
    const store = await openStore(t);
    const asked: CompiledQuery[] = [];
    const watched: Store = {
      db: store.db.withPlugin(
        telling((node, queryId) => asked.push(store.db.getExecutor().compileQuery(node, queryId))),
      ),
      append: (table, rows, replace) => store.append(table, rows, replace),
      close: () => store.close(),
    };
    await ask(watched);
    assert.ok(asked.length > 0);
    for (const { sql, parameters } of asked) {
      const { rows } = await store.db.executeQuery<{ detail: string }>(
        CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]),
      );
      for (const { detail } of rows) {
        if (!/^(?:SCAN|SEARCH) (?:requests|judgements|labels|captures|feedback|r)\b/.test(detail)) continue;
        const isNewest = newest.test(detail) && /\b(?:limit|max)\b/.test(sql);
        assert.ok(bounded.test(detail) || isNewest, `${detail}\n${sql}`);
      }
    }
  });
}

async function openStore(t: TestContext): Promise<SqliteStore> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-plans-'));
  const store = new SqliteStore(join(folder, 'lfo.db'));
  t.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  await store.append('requests', [{ ...sampleRow(id), time_ms: nowMs - 30_000 }]);
  return store;
}

function historyOf(store: Store): StoredHistory {
  return new StoredHistory(store, { nowMs: () => 0, wallMs: () => nowMs, schedule: () => () => {} });
}

/** Hears of each query before it runs. */
function telling(
  of: (node: RootOperationNode, queryId: Parameters<KyselyPlugin['transformQuery']>[0]['queryId']) => void,
): KyselyPlugin {
  return {
    transformQuery({ node, queryId }) {
      of(node, queryId);
      return node;
    },
    async transformResult({ result }) {
      return result;
    },
  };
}
