import type { Server } from 'node:http';

import type { FastifyInstance } from 'fastify';

import type { ServerConfig } from '../config/config.ts';
import type { ConfigHandle } from '../config/handle.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { shuttingDown } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Chats } from '../pipeline/serve-chat.ts';
import { closeListener } from '../server/close-listener.ts';
import { listenersOf } from '../server/listen.ts';

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

/**
 * Nothing may come for this long before kept connections are closed: what was on its way has arrived then. Who found the
 * door shut tries again after a second, and is to be refused by somebody: nobody answers for a container that has gone.
 */
const lullMs = 1_200;
/** Streams that go on are waited for afterwards. */
const longestLullMs = 2_000;
const lookMs = 50;

/**
 * Goes on as before for a while, so that balancers notice; then takes no new connections, and waits for those that are
 * there to bring what was on its way. What a balancer sends on a connection that is closed under it is lost.
 */
export async function drain(
  { server }: Pick<FastifyInstance, 'server'>,
  chats: Pick<Chats, 'size'>,
  { drainMs, graceMs }: { readonly drainMs: number; readonly graceMs: number },
  clock: Clock,
): Promise<void> {
  if (drainMs === 0) return;
  const never = new AbortController().signal;
  await sleep(clock, drainMs, never);
  // HTTP's own way would close at once whatever connection is between two requests.
  await Promise.all(listenersOf(server).map((listener) => closeListener(listener, clock)));
  const untilMs = clock.nowMs() + Math.min(longestLullMs, graceMs);
  for (let quietMs = 0; quietMs < lullMs && clock.nowMs() < untilMs; quietMs += lookMs) {
    await sleep(clock, lookMs, never);
    if (chats.size > 0) quietMs = -lookMs;
  }
}

/**
 * An answer that began before the drain has promised that its connection is kept, so a balancer may send the next request
 * there. Waits until each such connection was used once more, or was dropped as unused, for as long as the drain took.
 */
async function leaveKeptConnections(
  server: Server,
  chats: Pick<Chats, 'size'>,
  { longestMs, untilMs }: { readonly longestMs: number; readonly untilMs: number },
  clock: Clock,
): Promise<void> {
  const never = new AbortController().signal;
  for (let quietMs = 0; quietMs < longestMs && clock.nowMs() < untilMs; quietMs += lookMs) {
    if ((await connectionsOf(server)) === 0) return;
    await sleep(clock, lookMs, never);
    if (chats.size > 0) quietMs = -lookMs;
  }
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
}

/** The last steps of the server: it drains, as long as the configuration says then, and its requests come to their end. */
export function addServerEnd(
  shutdown: Shutdown,
  {
    server,
    chats,
    config,
    clock,
    beforeDrain,
  }: {
    readonly server: FastifyInstance;
    readonly chats: Chats;
    readonly config: ConfigHandle;
    readonly clock: Clock;
    readonly beforeDrain: () => void;
  },
): void {
  shutdown.add('drain', 'drain', () => {
    beforeDrain();
    const { drainMs, shutdownGraceMs } = config.current().server;
    return drain(server, chats, { drainMs, graceMs: shutdownGraceMs }, clock);
  });
  shutdown.add('requests', 'requests', () =>
    endRequests(server, chats, config.current().server, clock).finally(() => chats.settle()),
  );
}

/** Closes the listener, lets running chats come to their end within the grace, then ends them and every connection. */
export async function endRequests(
  server: FastifyInstance,
  chats: Chats,
  { drainMs, shutdownGraceMs: graceMs }: Pick<ServerConfig, 'drainMs' | 'shutdownGraceMs'>,
  clock: Clock,
): Promise<void> {
  const untilMs = clock.nowMs() + graceMs;
  if (drainMs > 0) {
    await chats.drained(graceMs);
    await leaveKeptConnections(server.server, chats, { longestMs: drainMs, untilMs }, clock);
  }
  // A listener that was closed before is no failure.
  const stopped = server.close().catch(() => undefined);
  await chats.drained(Math.max(0, untilMs - clock.nowMs()));
  chats.endUnless(() => false, shuttingDown);
  await chats.drained(lastFramesMs);
  const connections: Server = server.server;
  // A reader that takes nothing would keep us for as long as it likes, and so would a connection that is kept alive.
  connections.closeIdleConnections();
  await Promise.race([stopped, sleep(clock, lastFramesMs, new AbortController().signal)]);
  connections.closeAllConnections();
  await stopped;
}
