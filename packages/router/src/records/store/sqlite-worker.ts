import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { isNativeError } from 'node:util/types';
import { parentPort } from 'node:worker_threads';
import type { RollUpSql, SqliteAnswer, SqliteRequest, SqliteRows, SqlValue } from './sqlite-connection.ts';

/** Runs in a worker thread of its own, because SQLite here is synchronous and a slow disk would stall every stream. */
class Database {
  #db: DatabaseSync | undefined;
  readonly #batches = new Map<string, StatementSync>();
  /** Of the batch that comes next. */
  #rows: Row[] = [];

  take({ rows }: Pick<SqliteRows, 'rows'>): void {
    const parsed: Row[] = JSON.parse(rows);
    for (const row of parsed) this.#rows.push(row);
  }

  /** Never throws: what went wrong is the answer. */
  answer(request: SqliteRequest): SqliteAnswer {
    try {
      return this.#run(request);
    } catch (error) {
      return { type: 'failed', code: codeOf(error), message: isNativeError(error) ? error.message : 'unknown' };
    }
  }

  close(): void {
    this.#db?.close();
  }

  #run(request: SqliteRequest): SqliteAnswer {
    if (request.type === 'open') {
      this.#db = open(request);
      return { type: 'done', rows: [], changes: 0n, lastId: 0n };
    }
    if (this.#db === undefined) throw new TypeError('The database is not open.');
    if (request.type === 'query') return query(this.#db.prepare(request.sql), request.parameters);
    this.take(request);
    const rows = this.#rows;
    this.#rows = [];
    const statement = this.#prepared(this.#db, request.sql);
    return batch(
      this.#db,
      statement,
      rows,
      request.rollUp === undefined ? undefined : this.#rollUp(this.#db, request.rollUp),
    );
  }

  #rollUp(db: DatabaseSync, { begin, lastRow, statements, end }: RollUpSql): RollUp {
    return {
      begin: this.#prepared(db, begin),
      lastRow: this.#prepared(db, lastRow),
      statements: statements.map((sql) => this.#prepared(db, sql)),
      end: this.#prepared(db, end),
    };
  }

  #prepared(db: DatabaseSync, sql: string): StatementSync {
    const known = this.#batches.get(sql);
    if (known !== undefined) return known;
    const statement = db.prepare(sql);
    this.#batches.set(sql, statement);
    return statement;
  }
}

type Row = readonly SqlValue[];

/** The statements that count what a batch of requests adds. */
interface RollUp {
  readonly begin: StatementSync;
  readonly lastRow: StatementSync;
  readonly statements: readonly StatementSync[];
  readonly end: StatementSync;
}

function open({ file, readOnly, lockWaitMs }: Extract<SqliteRequest, { type: 'open' }>): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: lockWaitMs, readOnly });
  if (readOnly) return db;
  // WAL: readers and one writer at once, and nothing acknowledged is lost when the process dies.
  db.exec('pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = on;');
  return db;
}

function query(statement: StatementSync, parameters: readonly SqlValue[]): SqliteAnswer {
  if (statement.columns().length > 0) {
    return { type: 'done', rows: allRows(statement, parameters), changes: 0n, lastId: 0n };
  }
  const { changes, lastInsertRowid } = statement.run(...parameters);
  return { type: 'done', rows: [], changes: BigInt(changes), lastId: BigInt(lastInsertRowid) };
}

/** Integers that no number holds exactly are rounded: node:sqlite would refuse the whole answer. */
function allRows(
  statement: StatementSync,
  parameters: readonly SqlValue[],
): readonly Readonly<Record<string, unknown>>[] {
  try {
    return statement.all(...parameters);
  } catch (error) {
    if (!isNativeError(error) || !('code' in error) || error.code !== 'ERR_OUT_OF_RANGE') throw error;
    statement.setReadBigInts(true);
    const rounded = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);
    return statement
      .all(...parameters)
      .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, rounded(value)])));
  }
}

function batch(
  db: DatabaseSync,
  statement: StatementSync,
  rows: readonly Row[],
  rollUp: RollUp | undefined,
): SqliteAnswer {
  db.exec('begin immediate');
  try {
    const before = Number(rollUp?.lastRow.get()?.['last'] ?? 0);
    rollUp?.begin.run();
    for (const row of rows) statement.run(...row);
    for (const one of rollUp?.statements ?? []) one.run(before);
    rollUp?.end.run();
    db.exec('commit');
  } catch (error) {
    if (db.isTransaction) db.exec('rollback');
    throw error;
  }
  return { type: 'done', rows: [], changes: BigInt(rows.length), lastId: 0n };
}

/** Primary SQLite result codes worth telling apart; a full disk heals, a file that is no database does not. */
const codes = new Map([
  [5, 'SQLITE_BUSY'],
  [8, 'SQLITE_READONLY'],
  [10, 'SQLITE_IOERR'],
  [11, 'SQLITE_CORRUPT'],
  [13, 'SQLITE_FULL'],
  [14, 'SQLITE_CANTOPEN'],
  [18, 'SQLITE_TOOBIG'],
  [19, 'SQLITE_CONSTRAINT'],
  [20, 'SQLITE_MISMATCH'],
  [25, 'SQLITE_RANGE'],
  [26, 'SQLITE_NOTADB'],
]);

const constraintTrigger = 1811;

function codeOf(error: unknown): string {
  if (!isNativeError(error) || !('errcode' in error) || typeof error.errcode !== 'number') return 'SQLITE_ERROR';
  // What a trigger raises says nothing of the row.
  if (error.errcode === constraintTrigger) return 'SQLITE_CONSTRAINT_TRIGGER';
  return codes.get(error.errcode & 0xff) ?? 'SQLITE_ERROR';
}

const database = new Database();
parentPort?.on('message', (request: SqliteRequest | SqliteRows | 'close') => {
  if (request !== 'close') {
    return request.type === 'rows' ? database.take(request) : parentPort?.postMessage(database.answer(request));
  }
  database.close();
  parentPort?.close();
});
