import type { Clock } from '../core/clock.ts';
import type { RouterPeers } from '../records/open-peers.ts';
import { firstIdAt } from '../core/id-time.ts';
import { viewRow } from '../records/request-record.ts';
import type { Store } from '../records/tables.ts';
import type { LiveFeed } from '../telemetry/live-feed.ts';

export interface RowsOfOthersOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly live: LiveFeed;
  readonly peers: Pick<RouterPeers, 'name' | 'count'>;
}

const lookMs = 1_000;
/** Those that began last; one that took long may be stored behind so many others, and is found on record then. */
const latest = 100;
/** Where others seldom answer, all rows of this router would be read in search of a hundred of theirs. */
const withinMs = 3_600_000;

/** Brings what other routers have answered into the live feed of this one, while somebody watches and there are others. */
export class RowsOfOthers {
  readonly #options: RowsOfOthersOptions;
  readonly #seen = new Set<string>();
  #watchers = 0;
  #cancel: (() => void) | undefined;
  #isLooking = false;

  constructor(options: RowsOfOthersOptions) {
    this.#options = options;
  }

  /** Looks every second until the returned function was called by all who watch. */
  watch(): () => void {
    this.#watchers++;
    if (this.#watchers === 1) void this.#look();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#watchers--;
      if (this.#watchers === 0) this.#cancel?.();
    };
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { clock, peers } = this.#options;
    // A database that is away is seen elsewhere.
    if (peers.count > 1) await this.#read().catch(() => undefined);
    this.#isLooking = false;
    if (this.#watchers > 0) this.#cancel = clock.schedule(lookMs, () => void this.#look());
  }

  async #read(): Promise<void> {
    const { store, clock, live, peers } = this.#options;
    const rows = await store.db
      .selectFrom('requests')
      .selectAll()
      .where('id', '>=', firstIdAt(clock.wallMs() - withinMs))
      .where('router', '<>', peers.name)
      .orderBy('id', 'desc')
      .limit(latest)
      .execute();
    for (const row of rows.toReversed()) if (!this.#seen.has(row.id)) live.endedElsewhere(viewRow(row));
    this.#seen.clear();
    for (const { id } of rows) this.#seen.add(id);
  }
}
