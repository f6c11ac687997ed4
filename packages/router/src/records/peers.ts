import * as z from 'zod';
import type { Clock } from '../core/clock.ts';
import type { FleetRouter } from '../core/devices.ts';
import { parseJson } from '../core/json.ts';
import type { Logger } from '../core/logger.ts';
import type { PostgresStore } from './store/postgres-store.ts';
import type { DatabaseListener } from './store/postgres-listener.ts';

/** What one router says of itself every two seconds. */
export interface RouterState {
  readonly state: 'ready' | 'draining';
  readonly inFlight: number;
  readonly waiting: number;
  /** Where devices dial it; absent: nowhere. */
  readonly fleet?: FleetRouter;
}

/** A living router. */
export interface RouterView extends RouterState {
  /** Of this process. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** Unix milliseconds. */
  readonly startedMs: number;
  readonly seenMs: number;
  /** Digest of its configuration; equal ones are configured alike. */
  readonly config: string;
}

/** What of the shared database others may change while this router runs. */
export type Topic = 'keys' | 'overrides' | 'devices' | 'sessions' | 'routers';

export interface PeersOptions {
  readonly store: Pick<PostgresStore, 'query'>;
  readonly listener: DatabaseListener;
  readonly clock: Clock;
  readonly log: Logger;
  /** Unique to this process. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** Digest of its configuration now. */
  readonly config: () => string;
  readonly look: () => RouterState;
}

/** How often a router says that it lives, and how long it is believed. */
const beatMs = 2_000;
const lifeMs = 6_000;
/** How often changes are looked for where the database cannot tell of them. */
const pollMs = 500;
/** How long a router that has gone is reckoned with where things are shared out: longer than a restart takes. */
const returnMs = 60_000;

const routerRow = z.object({
  id: z.string(),
  name: z.string(),
  version: z.string(),
  state: z.enum(['ready', 'draining']).catch('ready'),
  config: z.string(),
  in_flight: z.number(),
  waiting: z.number(),
  started_ms: z.number(),
  seen_ms: z.number(),
  fleet: z.string().nullish(),
});
const fleetShape = z.object({ name: z.string(), key: z.string(), hosts: z.array(z.string()), port: z.number() });
const beatRow = z.object({ routers: z.array(routerRow), changes: z.record(z.string(), z.number()) });
const pollRow = z.object({ changes: z.record(z.string(), z.number()) });
const nameRow = z.object({ name: z.string() });

/**
 * The routers that share a PostgreSQL database: who lives, and news of what any of them changed. The database says so at
 * once where it can (`LISTEN`); else it is asked twice a second. All of it costs two transactions a second at most.
 */
export class Peers {
  readonly #options: PeersOptions;
  readonly #startedMs: number;
  readonly #followers = new Map<Topic, Set<() => void>>();
  readonly #outageFollowers = new Set<() => void>();
  readonly #fleetFollowers = new Set<() => void>();
  #fleets = '[]';
  #name: string;
  #isNameClaimed = false;
  #routers: readonly RouterView[] = [];
  #versions: Readonly<Record<string, number>> | undefined;
  #most: { readonly count: number; readonly untilMs: number } | undefined;
  #isReachable = true;
  #warnedOf = '';
  #beatDueMs = -Infinity;
  #cancel: (() => void) | undefined;
  #looking: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#startedMs = options.clock.wallMs();
    options.listener.onNotice((topic) => this.#tell(topic));
    this.follow('routers', () => void this.beat());
  }

  /** The one wished for, or `<name>-2` and so on where a living router has that. */
  get name(): string {
    return this.#name;
  }

  /** Living routers as last seen, this one included; at least 1. */
  get count(): number {
    return Math.max(1, this.#routers.length);
  }

  /**
   * Living routers, those included that went a moment ago and may be about to return: among so many a limit is shared out
   * that nobody counts for all of them. `undefined`: not known yet.
   */
  get mostOfLate(): number | undefined {
    return this.#most?.count;
  }

  /** By name. */
  list(): readonly RouterView[] {
    return this.#routers;
  }

  /** Calls after each change of that kind, and when the database has come back after it was away. */
  follow(topic: Topic, run: () => void): void {
    const set = this.#followers.get(topic) ?? new Set();
    this.#followers.set(topic, set.add(run));
  }

  /** Where devices dial the others. */
  fleets(): readonly FleetRouter[] {
    return this.#routers.flatMap(({ id, fleet }) => (id === this.#options.id || fleet === undefined ? [] : [fleet]));
  }

  /** Calls when that has changed. */
  onFleets(run: () => void): void {
    this.#fleetFollowers.add(run);
  }

  /** Calls when the database begins to fail, and when it answers again. */
  onReach(run: () => void): void {
    this.#outageFollowers.add(run);
  }

  /** Says for the first time that this router lives; resolves when that was tried. */
  async start(): Promise<void> {
    await this.#look();
    // The others are to reckon with it from now on, not from their next beat.
    await this.#options.store.query(announce, []).catch(() => undefined);
    this.#again();
  }

  /** Others hear at once that it has gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#looking;
    await this.#options.listener.close();
    await this.#options.store.query('delete from routers where id = $1', [this.#options.id]).catch(() => undefined);
  }

  /** The state of this router has changed: others are to know now. */
  async beat(): Promise<void> {
    if (this.#isClosed) return;
    this.#beatDueMs = -Infinity;
    await this.#looking;
    await this.#look();
  }

  async #claimName(): Promise<void> {
    const { store, name, id } = this.#options;
    const [row] = await store.query('select lfo_claim_name($1, $2, $3) as name', [id, name, lifeMs]);
    this.#name = nameRow.parse(row).name;
    this.#isNameClaimed = true;
  }

  #again(): void {
    if (this.#isClosed) return;
    const delayMs = this.#options.listener.isListening ? beatMs : pollMs;
    this.#cancel = this.#options.clock.schedule(delayMs, () => void this.#look().finally(() => this.#again()));
  }

  #look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookNow(): Promise<void> {
    const { clock, store } = this.#options;
    const isBeat = clock.nowMs() >= this.#beatDueMs;
    try {
      // Under a name that another may have it says nothing of itself.
      if (!this.#isNameClaimed) await this.#claimName();
      const [row] = isBeat ? await store.query(beat, this.#beatValues()) : await store.query(poll, []);
      const { changes } = isBeat ? this.#readBeat(row) : pollRow.parse(row);
      // A timer that is a little early is not to cost a beat.
      if (isBeat) this.#beatDueMs = clock.nowMs() + beatMs - pollMs / 2;
      this.#compare(changes);
      this.#reached(true);
    } catch {
      this.#reached(false);
    }
  }

  #beatValues(): readonly unknown[] {
    const { id, version, config, look } = this.#options;
    const { state, inFlight, waiting, fleet } = look();
    const place = fleet === undefined ? null : JSON.stringify(fleet);
    return [id, this.#name, version, state, config(), inFlight, waiting, this.#startedMs, lifeMs, place];
  }

  #readBeat(row: unknown): { readonly changes: Readonly<Record<string, number>> } {
    const { routers, changes } = beatRow.parse(row);
    this.#routers = routers
      .map(({ in_flight: inFlight, started_ms: startedMs, seen_ms: seenMs, fleet, ...router }) => {
        const { data } = fleetShape.safeParse(parseJson(fleet ?? 'null'));
        return { ...router, inFlight, startedMs, seenMs, ...(data === undefined ? {} : { fleet: data }) };
      })
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const nowMs = this.#options.clock.nowMs();
    if (this.#most === undefined || this.count >= this.#most.count || this.#most.untilMs <= nowMs) {
      this.#most = { count: this.count, untilMs: nowMs + returnMs };
    }
    this.#warnOfDifferences();
    this.#compareFleets();
    return { changes };
  }

  #warnOfDifferences(): void {
    const { log } = this.#options;
    const config = this.#options.config();
    // One that has claimed its name and has not beaten yet has said nothing of its configuration.
    const others = this.#routers.filter((each) => each.config !== '' && each.config !== config).map(({ name }) => name);
    const names = others.join(', ');
    if (names !== '' && names !== this.#warnedOf) {
      log.warn({ routers: others }, 'Other routers on this database are configured differently.');
    }
    this.#warnedOf = names;
  }

  #compareFleets(): void {
    const now = JSON.stringify(this.fleets());
    if (now === this.#fleets) return;
    this.#fleets = now;
    for (const run of this.#fleetFollowers) run();
  }

  /** What was changed while nobody told of it. */
  #compare(versions: Readonly<Record<string, number>>): void {
    const before = this.#versions;
    this.#versions = versions;
    if (before === undefined) return;
    for (const [topic, version] of Object.entries(versions)) if (before[topic] !== version) this.#tell(topic);
  }

  #reached(isReachable: boolean): void {
    if (isReachable === this.#isReachable) return;
    this.#isReachable = isReachable;
    for (const run of this.#outageFollowers) run();
    if (isReachable) for (const set of this.#followers.values()) for (const run of set) run();
  }

  #tell(topic: string): void {
    for (const [followed, set] of this.#followers) if (followed === topic) for (const run of set) run();
  }
}

const now = 'floor(extract(epoch from clock_timestamp()) * 1000)';

const changesObject = `(select coalesce(json_object_agg(topic, version), '{}') from changes) as changes`;

const beat = `with beat as (
    insert into routers (id, name, version, state, config, in_flight, waiting, started_ms, seen_ms, fleet)
    values ($1, $2, $3, $4, $5, $6, $7, $8, ${now}, $10)
    on conflict (id) do update set name = excluded.name, version = excluded.version, state = excluded.state,
      config = excluded.config, in_flight = excluded.in_flight, waiting = excluded.waiting,
      started_ms = excluded.started_ms, seen_ms = excluded.seen_ms, fleet = excluded.fleet
    returning *
  ), gone as (
    delete from routers where seen_ms < ${now} - 10 * $9::double precision
  )
  select (
    select json_agg(living) from (
      select * from routers where id <> $1 and seen_ms > ${now} - $9::double precision union all select * from beat
    ) as living
  ) as routers, ${changesObject}`;

const poll = `select ${changesObject}`;

const announce = `with news as (
    insert into changes (topic, version) values ('routers', 1)
    on conflict (topic) do update set version = changes.version + 1 returning topic
  )
  select pg_notify('lfo', topic) from news`;
