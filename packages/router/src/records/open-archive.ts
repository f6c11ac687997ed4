import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { type Archive, ArchiveError } from './archive.ts';
import type { LfoConfig } from '../config/config.ts';
import { codeOf } from '../core/error-code.ts';
import { createPrivateFile } from '../config/data-folder.ts';
import type { Store } from './tables.ts';
import { readCapture } from './capture.ts';
import { readJudged } from './queries/judged.ts';
import { recordedUse } from './queries/steering-data.ts';
import { summary } from './queries/summary.ts';
import { findRow, walkRows } from './queries/walk.ts';
import { attemptsOf } from './request-record.ts';
import { appliedSteps } from './store/migrate.ts';
import { PostgresStore } from './store/postgres-store.ts';
import { SqliteStore } from './store/sqlite-store.ts';
import { StoreError } from './store/store-error.ts';

/** Opens what a router with this configuration records; it may be running. Only what changes the database opens it for writing. */
export function openArchive(config: Pick<LfoConfig, 'databaseUrl' | 'dataDir'>): Archive {
  const { databaseUrl } = config;
  const file = join(config.dataDir, 'lfo.db');
  const open = (readOnly: boolean): Store =>
    databaseUrl === undefined ? new SqliteStore(file, { readOnly }) : new PostgresStore(databaseUrl, { readOnly });
  const reader = open(true);

  const explained = (error: unknown): unknown => {
    if (!(error instanceof StoreError)) return error;
    if (databaseUrl === undefined && !existsSync(file)) {
      return new ArchiveError(
        'Nothing is recorded yet: there is no database in the data folder. Start LFO and send it a request.',
      );
    }
    if (missingTable.has(error.code)) {
      return new ArchiveError('The database was made by another version of LFO: run "lfo db migrate".');
    }
    return new ArchiveError(`The database cannot be used (${error.code}): ${error.message}`);
  };
  const writing = async (work: (store: Store) => Promise<void>): Promise<void> => {
    const store = open(false);
    try {
      await work(store);
    } catch (error) {
      throw explained(error);
    } finally {
      await store.close();
    }
  };

  return {
    summary: (sinceMs, by) =>
      summary(reader, { fromMs: sinceMs }, by).catch((error: unknown) => Promise.reject(explained(error))),
    async find(id) {
      try {
        const row = await findRow(reader, id);
        return row && { row, attempts: attemptsOf(row.attempts) };
      } catch (error) {
        throw explained(error);
      }
    },
    async keyNames() {
      try {
        const rows = await reader.db.selectFrom('keys').select(['id', 'name']).execute();
        return new Map(rows.map(({ id, name }) => [id, name]));
      } catch (error) {
        throw explained(error);
      }
    },
    async *requests(filter, limit) {
      try {
        yield* walkRows(reader, filter, limit);
      } catch (error) {
        throw explained(error);
      }
    },
    async texts(id) {
      try {
        const row = await reader.db
          .selectFrom('captures')
          .select('words')
          .where('request_id', '=', id)
          .executeTakeFirst();
        const capture = row === undefined ? null : readCapture(row.words);
        // What was cut might have held what is looked for.
        return capture === null || capture.isCut ? undefined : capture.messages.map(({ text }) => text);
      } catch (error) {
        throw explained(error);
      }
    },
    judged: (filter) => readJudged(reader, filter).catch((error: unknown) => Promise.reject(explained(error))),
    prices: (nowMs) => recordedUse(reader, nowMs, 0).catch((error: unknown) => Promise.reject(explained(error))),
    async backup(target) {
      if (databaseUrl !== undefined) throw new ArchiveError('PostgreSQL has its own tool for this: pg_dump.');
      if (existsSync(target)) throw new ArchiveError('The file exists already: name another one.');
      try {
        createPrivateFile(target);
      } catch (error) {
        const code = codeOf(error) ?? 'unknown';
        throw new ArchiveError(`${target} cannot be written (${code}): name a file in a folder that you may write to.`);
      }
      try {
        await sql`vacuum into ${target}`.execute(reader.db);
      } catch (error) {
        rmSync(target, { force: true });
        throw explained(error);
      }
    },
    vacuum: () =>
      writing(
        async ({ db }) => void (await sql.raw(databaseUrl === undefined ? 'vacuum' : 'vacuum analyze').execute(db)),
      ),
    async migrate() {
      let last = '';
      await writing(async ({ db }) => {
        last = (await appliedSteps(db)).at(-1) ?? '';
      });
      return last;
    },
    close: () => reader.close(),
  };
}

/** A table or column that is not there, in SQLite and PostgreSQL. */
const missingTable: ReadonlySet<string> = new Set(['SQLITE_ERROR', '42P01', '42703']);
