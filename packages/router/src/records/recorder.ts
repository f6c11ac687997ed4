import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { RequestRow, Store } from './tables.ts';
import type { RequestTrace } from '../core/trace.ts';
import { requestRow, type RequestOutcome } from './request-record.ts';
import { WriteBehind, type WriteHealth, type WriteStatus } from './write-behind.ts';

/** Keeps one row a request, off the request's path: recording costs microseconds and cannot fail. */
export class Recorder {
  readonly #rows: WriteBehind<RequestRow>;

  constructor(store: Store, clock: Clock, onHealth?: (health: WriteHealth) => void) {
    const instance = randomToken(6);
    this.#rows = new WriteBehind({
      write: (rows) => store.append('requests', rows),
      writeLoss: ({ fromMs, untilMs, rows }) =>
        store.append(
          'record_gaps',
          [{ id: `${fromMs}-${instance}`, from_ms: fromMs, until_ms: untilMs, requests: rows }],
          'replace',
        ),
      clock,
      // They have waited for company already.
      batchMs: 0,
      batchRows: 512,
      ...(onHealth === undefined ? {} : { onHealth }),
    });
  }

  /** Call once a request has ended, whatever its end. */
  record(trace: RequestTrace, outcome: RequestOutcome): void {
    this.add(requestRow(trace, outcome));
  }

  /** The same of a row that is made already. */
  add(row: RequestRow): void {
    this.#rows.add(row);
  }

  /** Degraded means that the database refuses and rows wait or are lost. */
  status(): WriteStatus {
    return this.#rows.status();
  }

  /** Resolves when what waits is stored, or at the first failure. */
  flush(): Promise<void> {
    return this.#rows.flush();
  }

  /** A last flush; what cannot be stored is counted as dropped. The store stays open. */
  close(): Promise<void> {
    return this.#rows.close();
  }
}
