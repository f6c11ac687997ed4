import type { PostgresStore } from './store/postgres-store.ts';

/** A little less than a round's time: whoever had the last round may well have the next. */
const leaseMs = 55_000;

/**
 * Whether this router may do what one of several is to do, for the next minute. One row a task, by the database's own
 * time; a router that dies in the middle leaves its task to the next round of any other.
 */
export async function takesLease(store: Pick<PostgresStore, 'query'>, task: string, holder: string): Promise<boolean> {
  const rows = await store.query(
    `insert into leases (name, holder, until_ms) values ($1, $2, ${now} + $3)
     on conflict (name) do update set holder = excluded.holder, until_ms = excluded.until_ms
     where leases.until_ms < ${now} returning holder`,
    [task, holder, leaseMs],
  );
  return rows.length > 0;
}

const now = 'floor(extract(epoch from clock_timestamp()) * 1000)';
