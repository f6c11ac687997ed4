import type { Clock } from '../../core/clock.ts';
import { type Asking, Connection, type Keeper } from './connection.ts';
import type { Connector } from './connector.ts';

/** How often connections are looked for that were idle too long. */
const sweepMs = 5_000;

/** So much earlier than the other side says, as what is sent takes its time. */
const hintMarginMs = 2_000;
const longestHintMs = 600_000;

export interface PoolOptions {
  readonly connect: Connector;
  readonly clock: Clock;
  readonly keepAliveMs: number;
}

/** Connections of one origin: as many as there are requests at once; those that nothing is asked on are kept for a while. */
export class ConnectionPool implements Keeper {
  readonly #url: URL;
  readonly #options: PoolOptions;
  readonly #all = new Set<Connection>();
  /** The last one used is used first, so that those beyond the need grow old. */
  #idle: Connection[] = [];
  /** Kept ones that have been given a request in this turn. */
  #due: Connection[] = [];
  #cancelSweep: (() => void) | undefined;
  readonly #writeDue = (): void => {
    const due = this.#due;
    this.#due = [];
    for (const connection of due) connection.write();
  };

  constructor(url: URL, options: PoolOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Has a request asked. @throws what the connector throws */
  ask(asking: Asking, onNewOne = false): Connection {
    const kept = onNewOne ? undefined : this.#takeIdle();
    if (kept !== undefined) {
      kept.ask(asking);
      // What this turn of the event loop still has to read of it is read first: it would be taken for the answer.
      if (this.#due.push(kept) === 1) setImmediate(this.#writeDue);
      return kept;
    }
    const connection = new Connection(this.#url, this.#options.connect, this);
    this.#all.add(connection);
    connection.ask(asking);
    return connection;
  }

  keep(connection: Connection, hint: string): void {
    const { clock, keepAliveMs } = this.#options;
    const keptMs = hint === '' ? keepAliveMs : keptMsOf(hint, keepAliveMs);
    if (keptMs <= 0) return connection.destroy();
    connection.idleUntilMs = clock.nowMs() + keptMs;
    this.#idle.push(connection);
    this.#cancelSweep ??= clock.schedule(sweepMs, () => this.#sweep());
  }

  forget(connection: Connection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  close(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    this.#idle = [];
    for (const connection of this.#all) connection.destroy();
  }

  #takeIdle(): Connection | undefined {
    for (let kept; (kept = this.#idle.pop()) !== undefined; kept.destroy()) {
      if (kept.idleUntilMs > this.#options.clock.nowMs()) return kept;
    }
    return undefined;
  }

  #sweep(): void {
    const { clock } = this.#options;
    this.#cancelSweep = undefined;
    const nowMs = clock.nowMs();
    const idle = this.#idle;
    this.#idle = idle.filter(({ idleUntilMs }) => idleUntilMs > nowMs);
    for (const connection of idle) if (connection.idleUntilMs <= nowMs) connection.destroy();
    if (this.#idle.length > 0) this.#cancelSweep = clock.schedule(sweepMs, () => this.#sweep());
  }
}

/** Reads `timeout=5, max=100`, in seconds. */
function keptMsOf(hint: string, otherwiseMs: number): number {
  const [, seconds] = /timeout=(\d+)/.exec(hint) ?? [];
  return seconds === undefined ? otherwiseMs : Math.min(Number(seconds) * 1000 - hintMarginMs, longestHintMs);
}
