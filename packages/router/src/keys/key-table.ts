import type { Kysely, Transaction } from 'kysely';

import type { KeyLimits } from '../core/identity.ts';
import { parseJson } from '../core/json.ts';
import type { Tier } from '../core/request.ts';
import { generateKey, type ManagedKey, storedKey } from './managed-key.ts';
import type { KeyRow, Store, StoreTables } from '../records/tables.ts';

/** What an operator decides about a new key. */
export type KeyOrder = Pick<ManagedKey, 'name' | 'scopes' | 'tiers' | 'models' | 'limits' | 'expiresMs'>;

/** What changes of a key; `null` takes it away, absent stays. */
export interface KeyChange {
  readonly limits?: { readonly [Name in keyof KeyLimits]?: KeyLimits[Name] | null };
  readonly tiers?: readonly Tier[] | null;
  readonly models?: readonly string[] | null;
  /** Unix milliseconds. */
  readonly expiresMs?: number | null;
}

/** The keys in the database. Every method rejects while it cannot be reached. */
export class KeyTable {
  readonly #db: Kysely<StoreTables>;
  readonly #stampQuery;

  constructor(store: Store) {
    this.#db = store.db;
    this.#stampQuery = stampQuery(store.db);
  }

  /** Gives out a new key; the text is nowhere afterwards. */
  async create(order: KeyOrder, nowMs: number): Promise<{ readonly text: string; readonly key: ManagedKey }> {
    const { text, id, digest } = generateKey();
    const key: ManagedKey = { ...order, id, digest, createdMs: Math.round(nowMs) };
    await this.#db.transaction().execute(async (transaction) => {
      const version = await nextVersion(transaction);
      await transaction.insertInto('keys').values(rowOf(key, version)).execute();
    });
    return { text, key };
  }

  /** All of them, revoked and unreadable ones too, the oldest first. */
  async list(): Promise<readonly ManagedKey[]> {
    const rows = await this.#db.selectFrom('keys').selectAll().orderBy('created_ms').orderBy('id').execute();
    return rows.map((row) => readableKey(row) ?? unreadableKey(row));
  }

  /** Keys with this id or name that are not revoked yet are from now on; resolves with their ids. */
  async revoke(idOrName: string, nowMs: number): Promise<readonly string[]> {
    return this.#db.transaction().execute(async (transaction) => {
      const found = await transaction
        .selectFrom('keys')
        .select('id')
        .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
        .where('revoked_ms', 'is', null)
        .execute();
      const ids = found.map(({ id }) => id);
      if (ids.length === 0) return ids;
      const version = await nextVersion(transaction);
      await transaction
        .updateTable('keys')
        .set({ revoked_ms: Math.round(nowMs), version })
        .where('id', 'in', ids)
        .where('revoked_ms', 'is', null)
        .execute();
      return ids;
    });
  }

  /** Changes keys with this id or name that are not revoked; resolves with them as they are then. */
  async change(idOrName: string, change: KeyChange): Promise<readonly ManagedKey[]> {
    return this.#db.transaction().execute(async (transaction) => {
      const rows = await transaction
        .selectFrom('keys')
        .selectAll()
        .where((where) => where.or([where('id', '=', idOrName), where('name', '=', idOrName)]))
        .where('revoked_ms', 'is', null)
        .execute();
      if (rows.length === 0) return [];
      const version = await nextVersion(transaction);
      const changed: ManagedKey[] = [];
      for (const row of rows) {
        const readable = readableKey(row);
        if (readable === undefined) continue;
        const key = changedKey(readable, change);
        const { id: _id, ...columns } = rowOf(key, version);
        // One that somebody has revoked since it was read stays revoked.
        const { numUpdatedRows } = await transaction
          .updateTable('keys')
          .set(columns)
          .where('id', '=', key.id)
          .where('revoked_ms', 'is', null)
          .executeTakeFirstOrThrow();
        if (numUpdatedRows > 0n) changed.push(key);
      }
      return changed;
    });
  }

  /** Deletes the keys that are revoked; with none left, none is needed any more. Resolves with how many. */
  async forgetRevoked(): Promise<number> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('keys')
      .where('revoked_ms', 'is not', null)
      .executeTakeFirstOrThrow();
    return Number(numDeletedRows);
  }

  /** Different after every change of any key; cheap. */
  async stamp(): Promise<string> {
    const { rows } = await this.#db.executeQuery(this.#stampQuery);
    const [{ count, versions, created } = { count: 0, versions: 0, created: 0 }] = rows;
    return `${count}:${versions ?? 0}:${created ?? 0}`;
  }
}

/** Made once: it is asked several times a second for as long as a router runs, and making it costs more than asking. */
function stampQuery(db: Store['db']) {
  return db
    .selectFrom('keys')
    .select(({ fn }) => [
      fn.countAll().as('count'),
      // Their sum: changes that were made at once may have one version, and the latest of them would hide the others.
      fn.sum('version').as('versions'),
      // A version comes again where the key that held it was deleted.
      fn.max('created_ms').as('created'),
    ])
    .compile();
}

function changedKey(key: ManagedKey, { limits, tiers, models, expiresMs }: KeyChange): ManagedKey {
  const { tiers: _tiers, models: _models, expiresMs: _expiresMs, ...rest } = key;
  const left = Object.entries({ ...key.limits, ...limits }).filter(([, limit]) => limit !== null);
  const now = {
    tiers: tiers === undefined ? key.tiers : (tiers ?? undefined),
    models: models === undefined ? key.models : (models ?? undefined),
    expiresMs: expiresMs === undefined ? key.expiresMs : (expiresMs ?? undefined),
  };
  return storedKey.parse({
    ...rest,
    limits: Object.fromEntries(left),
    ...Object.fromEntries(Object.entries(now).filter(([, value]) => value !== undefined)),
  });
}

async function nextVersion(transaction: Transaction<StoreTables>): Promise<number> {
  const { version } = await transaction
    .selectFrom('keys')
    .select(({ fn }) => fn.max('version').as('version'))
    .executeTakeFirstOrThrow();
  return (version ?? 0) + 1;
}

function rowOf(key: ManagedKey, version: number): KeyRow {
  return {
    id: key.id,
    name: key.name,
    digest: key.digest,
    scopes: JSON.stringify(key.scopes),
    tiers: key.tiers === undefined ? null : JSON.stringify(key.tiers),
    models: key.models === undefined ? null : JSON.stringify(key.models),
    limits: JSON.stringify(key.limits),
    created_ms: key.createdMs,
    expires_ms: key.expiresMs ?? null,
    revoked_ms: key.revokedMs ?? null,
    version,
  };
}

function readableKey(row: KeyRow): ManagedKey | undefined {
  return storedKey.safeParse({
    id: row.id,
    name: row.name,
    digest: row.digest,
    scopes: parseJson(row.scopes),
    ...(row.tiers === null ? {} : { tiers: parseJson(row.tiers) }),
    ...(row.models === null ? {} : { models: parseJson(row.models) }),
    limits: parseJson(row.limits),
    createdMs: row.created_ms,
    ...(row.expires_ms === null ? {} : { expiresMs: row.expires_ms }),
    ...(row.revoked_ms === null ? {} : { revokedMs: row.revoked_ms }),
  }).data;
}

/** One bad row keeps nobody else out, and lets nobody in. */
function unreadableKey({ id, name }: KeyRow): ManagedKey {
  const digest = '0'.repeat(64);
  return { id, name, digest, scopes: [], limits: {}, createdMs: 0, revokedMs: 0, isUnreadable: true };
}
