import type { Clock } from '../core/clock.ts';
import type { Store } from './tables.ts';
import { compactRollups } from './compact-rollups.ts';
import { type Retention, trimRecords } from './trim-records.ts';

const everyMs = 60_000;

export interface UpkeepOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Asked each time, so that a reload takes effect. */
  readonly limits: () => Retention;
  /** Whether this round is for this router to do, where several share the database; default: each is. */
  readonly isMine?: () => Promise<boolean>;
  /** A round has failed; the next one comes in a minute. */
  readonly onError: (error: unknown) => void;
}

/** Keeps the database small once a minute: merges old roll-ups and deletes what is past its retention. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #stopped = new AbortController();
  #cancelTimer: () => void;
  #round: Promise<void> | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#cancelTimer = this.#schedule();
  }

  /** Resolves when the round under way, if any, has ended. */
  async idle(): Promise<void> {
    await this.#round;
  }

  /** No further rounds; waits for a statement under way. Call before the store is closed. */
  async close(): Promise<void> {
    this.#stopped.abort();
    this.#cancelTimer();
    await this.#round;
  }

  #schedule(): () => void {
    return this.#options.clock.schedule(everyMs, () => {
      this.#round = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { store, clock, limits, onError, isMine } = this.#options;
    const nowMs = clock.wallMs();
    try {
      if (isMine === undefined || (await isMine())) {
        await compactRollups(store, nowMs, this.#stopped.signal);
        await trimRecords(store, nowMs, limits(), this.#stopped.signal);
      }
    } catch (error) {
      onError(error);
    }
    if (!this.#stopped.signal.aborted) this.#cancelTimer = this.#schedule();
  }
}
