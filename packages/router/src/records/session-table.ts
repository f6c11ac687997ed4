import type { SessionRow, Store } from './tables.ts';

/** Sessions of browsers in the database. Every method rejects while it cannot be reached. */
export class SessionTable {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Adds one that may be there already, and drops those that are over. */
  async add(row: SessionRow, nowMs: number): Promise<void> {
    const { db } = this.#store;
    await db.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('sessions').where('expires_ms', '<=', nowMs).execute();
      await transaction
        .insertInto('sessions')
        .values(row)
        .onConflict((conflict) => conflict.column('token_digest').doNothing())
        .execute();
    });
  }

  async prolong(digest: string, expiresMs: number): Promise<void> {
    const { db } = this.#store;
    await db.updateTable('sessions').set({ expires_ms: expiresMs }).where('token_digest', '=', digest).execute();
  }

  async end(digest: string): Promise<void> {
    await this.#store.db.deleteFrom('sessions').where('token_digest', '=', digest).execute();
  }

  async find(digest: string): Promise<SessionRow | undefined> {
    const { db } = this.#store;
    return db.selectFrom('sessions').selectAll().where('token_digest', '=', digest).executeTakeFirst();
  }

  /** Those that are not over, the latest first. */
  async list(nowMs: number, limit: number): Promise<readonly SessionRow[]> {
    const { db } = this.#store;
    return db
      .selectFrom('sessions')
      .selectAll()
      .where('expires_ms', '>', nowMs)
      .orderBy('ends_ms', 'desc')
      .limit(limit)
      .execute();
  }
}
