import type { Clock } from '../core/clock.ts';
import type { RecordsConfig } from '../config/config.ts';
import type { ChatRequest } from '../core/request.ts';
import type { RequestFollower } from '../core/sink.ts';
import type { CaptureRow, Store } from './tables.ts';
import { CaptureBuilder } from './capture.ts';
import { WriteBehind, type WriteStatus } from './write-behind.ts';

/** Whether the operator wants prompt and answer of this request kept. Those of mode `local` never go to a database elsewhere. */
export function isCaptured({ hints }: ChatRequest, { enabled, capture, captureLocal }: RecordsConfig): boolean {
  return enabled && capture && (captureLocal || hints.mode !== 'local');
}

/** Waiting at most: with the longest texts, about 60 MB. */
const maxPending = 128;

/** They are there before the row of their request, which waits for others. */
const batchMs = 20;

/** Keeps prompts and answers where the operator wants them, off the requests' path. */
export class Captures {
  readonly #clock: Clock;
  readonly #rows: WriteBehind<CaptureRow>;

  constructor(store: Pick<Store, 'append'>, clock: Clock) {
    this.#clock = clock;
    this.#rows = new WriteBehind({
      write: (rows) => store.append('captures', rows),
      clock,
      maxPending,
      batchRows: 16,
      batchMs,
    });
  }

  /** Copies an answer as it goes to the client and keeps it, with its prompt, once it has ended in whatever way. */
  follow(request: ChatRequest): Required<Pick<RequestFollower, 'wrote' | 'ended'>> {
    const copy = new CaptureBuilder(request);
    const timeMs = Math.round(this.#clock.wallMs());
    return {
      wrote: (events) => events.forEach((event) => copy.add(event)),
      ended: () => this.#rows.add({ request_id: request.id, time_ms: timeMs, words: JSON.stringify(copy.capture()) }),
    };
  }

  /** Its `dropped` counts requests whose text is lost: it came faster than the database took them. */
  status(): WriteStatus {
    return this.#rows.status();
  }

  /** A last write. The store stays open. */
  close(): Promise<void> {
    return this.#rows.close();
  }
}
