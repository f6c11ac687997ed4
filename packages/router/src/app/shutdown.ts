import type { Server } from 'node:http';

import type { FastifyInstance } from 'fastify';

import { type Clock, sleep } from '../core/clock.ts';
import { shuttingDown } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Chats } from '../pipeline/serve-chat.ts';

/** The way out, in this order; what is registered for one step ends together. */
const steps = ['drain', 'observers', 'requests', 'deliveries', 'backends'] as const;
export type ShutdownStep = (typeof steps)[number];

/** Ends one part; `signal` aborts when the time of its step is over. */
type Close = (signal: AbortSignal) => Promise<void> | void;

/** Time for the last rows, counts and traces together, whoever takes them. */
const deliveryMs = 5_000;

/** The parts that have been opened, and how each ends. */
export class Shutdown {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #closers: { readonly step: ShutdownStep; readonly name: string; readonly close: Close }[] = [];
  #running: Promise<void> | undefined;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether the end has begun: nothing new is taken on. */
  get hasBegun(): boolean {
    return this.#running !== undefined;
  }

  /** Registers a part that has been opened; `name` is for the log. */
  add(step: ShutdownStep, name: string, close: Close): void {
    this.#closers.push({ step, name, close });
  }

  /** Ends everything. Never rejects: what cannot be ended is logged, and the rest goes on. Idempotent. */
  run(): Promise<void> {
    return (this.#running ??= this.#run());
  }

  async #run(): Promise<void> {
    for (const step of steps) await this.#end(step);
  }

  async #end(step: ShutdownStep): Promise<void> {
    const open = this.#closers.filter((closer) => closer.step === step);
    const unfinished = new Set(open.map(({ name }) => name));
    const overdue = new AbortController();
    const timeIsUp = Promise.withResolvers<void>();
    const cancel =
      step !== 'deliveries'
        ? () => {}
        : this.#clock.schedule(deliveryMs, () => {
            overdue.abort();
            // What heeds the signal gets to count what it drops.
            setImmediate(timeIsUp.resolve);
          });
    const closed = open.map(async ({ name, close }) => {
      try {
        await close(overdue.signal);
      } catch (error) {
        this.#log.warn({ part: name, err: error }, 'A part of LFO did not end as it should.');
      }
      unfinished.delete(name);
    });
    await Promise.race([Promise.all(closed), timeIsUp.promise]);
    cancel();
    if (unfinished.size > 0) this.#log.warn({ parts: [...unfinished] }, 'Some parts took too long to end.');
  }
}

/** For error frames to leave, and for requests other than chats. */
const lastFramesMs = 500;

/** Goes on as before for a while, so that balancers notice before the listener closes. */
export function drain(drainMs: number, clock: Clock): Promise<void> {
  return drainMs === 0 ? Promise.resolve() : sleep(clock, drainMs, new AbortController().signal);
}

/** Closes the listener, lets running chats come to their end within the grace, then ends them and every connection. */
export async function endRequests(server: FastifyInstance, chats: Chats, graceMs: number, clock: Clock): Promise<void> {
  const stopped = server.close();
  await chats.drained(graceMs);
  chats.endUnless(() => false, shuttingDown);
  await chats.drained(lastFramesMs);
  const connections: Server = server.server;
  // A reader that takes nothing would keep us for as long as it likes, and so would a connection that is kept alive.
  connections.closeIdleConnections();
  await Promise.race([stopped, sleep(clock, lastFramesMs, new AbortController().signal)]);
  connections.closeAllConnections();
  await stopped;
}
