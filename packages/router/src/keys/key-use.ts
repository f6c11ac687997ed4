import { sql } from 'kysely';
import type { Consumption } from '../core/identity.ts';
import { timeOfId } from '../core/id-time.ts';
import type { Store } from '../records/tables.ts';

/** What one key has used lately. */
export interface KeyUse {
  /** Unix milliseconds of the arrival of its latest request; absent: none is known. */
  readonly lastUsedMs?: number;
  /** Of the last 60 seconds, as recorded: what still runs is not in it. */
  readonly minute: Consumption;
  /** Since midnight UTC. */
  readonly today: Consumption;
}

const dayMs = 86_400_000;
const minuteMs = 60_000;
const nothing: Consumption = { requests: 0, tokens: 0, usd: 0 };

/** What every key that was given out has used, by id. */
export async function keyUse({ db }: Store, nowMs: number): Promise<ReadonlyMap<string, KeyUse>> {
  const today = Math.floor(nowMs / dayMs);
  const [keys, days, minutes] = await Promise.all([
    db
      .selectFrom('keys')
      .select([
        'id as key',
        // Ids sort by time, and an index holds the key's.
        sql<string | null>`(select max(r.id) from requests as r where r.client_key = keys.id)`.as('latest'),
        sql<number | null>`(select max(u.day) from key_usage as u where u.key_id = keys.id)`.as('day'),
      ])
      .execute(),
    db.selectFrom('key_usage').select(['key_id', 'requests', 'tokens', 'usd']).where('day', '=', today).execute(),
    db
      .selectFrom('requests')
      .select(({ fn }) => [
        // As an expression, or SQLite would read all rows by the index of keys to have them in groups.
        sql<string>`coalesce(client_key, '')`.as('key'),
        fn.countAll<number>().as('requests'),
        sql<number>`coalesce(sum(prompt_tokens), 0) + coalesce(sum(completion_tokens), 0)`.as('tokens'),
        sql<number>`coalesce(sum(cost_usd), 0)`.as('usd'),
      ])
      .where('time_ms', '>=', nowMs - minuteMs)
      .where('turned_away', '=', 0)
      .groupBy('key')
      .execute(),
  ]);
  const ofDay = new Map(days.map(({ key_id: key, requests, tokens, usd }) => [key, { requests, tokens, usd }]));
  const ofMinute = new Map(minutes.map(({ key, requests, tokens, usd }) => [key, { requests, tokens, usd }]));
  return new Map(
    keys.map(({ key, latest, day }) => {
      const lastUsedMs = latest === null ? (day === null ? undefined : day * dayMs) : timeOfId(latest);
      const use = { minute: ofMinute.get(key) ?? nothing, today: ofDay.get(key) ?? nothing };
      return [key, lastUsedMs === undefined ? use : { ...use, lastUsedMs }];
    }),
  );
}
