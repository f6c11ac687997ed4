import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../postgres-dialect.ts';

/**
 * Counts of limited keys that several routers share; PostgreSQL alone, since a SQLite file has one router. The table is
 * unlogged: what a crash of the server takes, `key_usage` and the routers give back. A release that counts differently
 * adds functions of other names.
 */
export async function limits<T>(db: Kysely<T>): Promise<void> {
  if (!isPostgres(db)) return;
  for (const statement of [table, normalise, take, settle, renew]) await sql.raw(statement).execute(db);
}

/** `places`: by router what runs there, as [requests, with tokens, tokens, with money, US dollars, last seen]. */
const table = `create unlogged table key_limits (
  key_id text primary key,
  minute_ends double precision not null,
  minute_requests double precision not null,
  minute_tokens double precision not null,
  minute_usd double precision not null,
  day integer not null,
  day_requests double precision not null,
  day_tokens double precision not null,
  day_usd double precision not null,
  places jsonb not null,
  born double precision not null
) with (fillfactor = 50)`;

/** Locks a key's row, makes it where there is none, and begins its minute, its day and its places anew where they are over. */
const normalise = `create function lfo_limits_lock(
  in_key text, seen_minute double precision[], unwritten double precision[], out l key_limits, out now_ms double precision,
  out is_new boolean
) language plpgsql as $$
declare
  today integer;
begin
  select * into l from key_limits where key_id = in_key for update;
  is_new := l.key_id is null;
  if is_new then
    now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
    today := floor(now_ms / 86400000);
    insert into key_limits
    select in_key, now_ms + coalesce(seen_minute[1], 60000),
      coalesce(seen_minute[2], 0), coalesce(seen_minute[3], 0), coalesce(seen_minute[4], 0),
      today, coalesce(sum(requests), 0) + unwritten[1], coalesce(sum(tokens), 0) + unwritten[2],
      coalesce(sum(usd), 0) + unwritten[3], '{}', now_ms
    from key_usage where key_usage.key_id = in_key and key_usage.day = today
    on conflict do nothing;
    select * into l from key_limits where key_id = in_key for update;
  end if;
  now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
  today := floor(now_ms / 86400000);
  if l.minute_ends <= now_ms then
    l.minute_ends := now_ms + 60000;
    l.minute_requests := 0; l.minute_tokens := 0; l.minute_usd := 0;
  end if;
  if l.day <> today then
    l.day := today; l.day_requests := 0; l.day_tokens := 0; l.day_usd := 0;
  end if;
end $$`;

/** Limits in the order concurrency, requests, tokens and dollars by minute and day; see shared-limit-store.ts. */
const take = `create function lfo_limits_take(
  in_key text, in_router text, lim double precision[], holds boolean, is_cloud boolean,
  asked_tokens double precision, asked_usd double precision,
  seen_minute double precision[], unwritten double precision[], life_ms double precision
) returns double precision[] language plpgsql as $$
declare
  row record; l key_limits; now_ms double precision; place record; mine jsonb; reserved_usd double precision;
  n double precision := 0; tc double precision := 0; ts double precision := 0;
  uc double precision := 0; us double precision := 0;
  is_full boolean; no_money boolean; granted boolean;
begin
  select * into row from lfo_limits_lock(in_key, seen_minute, unwritten);
  l := row.l;
  now_ms := row.now_ms;
  for place in select key, value from jsonb_each(l.places) loop
    if (place.value->>5)::double precision < now_ms - life_ms then
      l.places := l.places - place.key;
    else
      n := n + (place.value->>0)::double precision;
      tc := tc + (place.value->>1)::double precision; ts := ts + (place.value->>2)::double precision;
      uc := uc + (place.value->>3)::double precision; us := us + (place.value->>4)::double precision;
    end if;
  end loop;
  is_full := coalesce(n + 1 > lim[1], false)
    or coalesce(l.minute_requests + 1 > lim[2], false)
    or coalesce(l.day_requests + 1 > lim[3], false)
    or coalesce(case when tc = 0 or asked_tokens = 0 then l.minute_tokens + ts >= lim[4]
                else l.minute_tokens + ts + asked_tokens > lim[4] end, false)
    or coalesce(case when tc = 0 or asked_tokens = 0 then l.day_tokens + ts >= lim[5]
                else l.day_tokens + ts + asked_tokens > lim[5] end, false);
  no_money := coalesce(case when uc = 0 or asked_usd = 0 then l.minute_usd + us >= lim[6]
                       else l.minute_usd + us + asked_usd > lim[6] end, false)
    or coalesce(case when uc = 0 or asked_usd = 0 then l.day_usd + us >= lim[7]
                else l.day_usd + us + asked_usd > lim[7] end, false);
  granted := not is_full and not (no_money and is_cloud);
  reserved_usd := case when no_money then 0 else asked_usd end;
  if granted then
    if holds then
      mine := coalesce(l.places->in_router, '[0,0,0,0,0,0]');
      l.places := l.places || jsonb_build_object(in_router, jsonb_build_array(
        (mine->>0)::double precision + 1,
        (mine->>1)::double precision + (asked_tokens > 0)::integer, (mine->>2)::double precision + asked_tokens,
        (mine->>3)::double precision + (reserved_usd > 0)::integer, (mine->>4)::double precision + reserved_usd,
        now_ms));
    end if;
    update key_limits set minute_ends = l.minute_ends, minute_requests = l.minute_requests + 1,
      minute_tokens = l.minute_tokens, minute_usd = l.minute_usd, day = l.day, day_requests = l.day_requests + 1,
      day_tokens = l.day_tokens, day_usd = l.day_usd, places = l.places
    where key_id = in_key;
  end if;
  return array[granted::integer, l.minute_ends - now_ms, l.minute_requests, l.minute_tokens, l.minute_usd,
    86400000 - (now_ms - floor(now_ms / 86400000) * 86400000), l.day_requests, l.day_tokens, l.day_usd,
    n, tc, ts, uc, us, l.born];
end $$`;

const settle = `create function lfo_limits_settle(
  in_key text, in_router text, reserved_tokens double precision, reserved_usd double precision,
  used_tokens double precision, used_usd double precision
) returns void language plpgsql as $$
declare
  row record; l key_limits; now_ms double precision; mine jsonb; n double precision; tc double precision; uc double precision;
begin
  select * into row from lfo_limits_lock(in_key, null, array[0, 0, 0]);
  l := row.l;
  now_ms := row.now_ms;
  mine := l.places->in_router;
  if mine is not null then
    n := greatest(0, (mine->>0)::double precision - 1);
    tc := greatest(0, (mine->>1)::double precision - (reserved_tokens > 0)::integer);
    uc := greatest(0, (mine->>3)::double precision - (reserved_usd > 0)::integer);
    l.places := case when n = 0 then l.places - in_router else
      l.places || jsonb_build_object(in_router, jsonb_build_array(
        n, tc, case when tc = 0 then 0 else (mine->>2)::double precision - reserved_tokens end,
        uc, case when uc = 0 then 0 else (mine->>4)::double precision - reserved_usd end, now_ms)) end;
  end if;
  update key_limits set minute_ends = l.minute_ends, minute_requests = l.minute_requests,
    minute_tokens = l.minute_tokens + used_tokens, minute_usd = l.minute_usd + used_usd,
    day = l.day, day_requests = l.day_requests, day_tokens = l.day_tokens + used_tokens,
    day_usd = l.day_usd + used_usd, places = l.places
  where key_id = in_key;
end $$`;

const renew = `create function lfo_limits_renew(
  in_key text, in_router text, place double precision[], minute double precision[], today double precision[],
  seen_minute double precision[], unwritten double precision[]
) returns void language plpgsql as $$
declare
  row record; l key_limits; now_ms double precision;
begin
  select * into row from lfo_limits_lock(in_key, seen_minute, unwritten);
  l := row.l;
  now_ms := row.now_ms;
  -- What a new row was begun with has what is owed to the day already.
  if row.is_new then today := array[0, 0, 0]; end if;
  l.places := case when place[1] = 0 then l.places - in_router else
    l.places || jsonb_build_object(in_router, to_jsonb(place || now_ms)) end;
  update key_limits set minute_ends = l.minute_ends, minute_requests = l.minute_requests + minute[1],
    minute_tokens = l.minute_tokens + minute[2], minute_usd = l.minute_usd + minute[3],
    day = l.day, day_requests = l.day_requests + today[1], day_tokens = l.day_tokens + today[2],
    day_usd = l.day_usd + today[3], places = l.places
  where key_id = in_key;
end $$`;
