import type { ServerResponse } from 'node:http';
import { constants, createGzip, type Gzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { LfoError } from '../core/errors.ts';
import { presentedKey } from '../server/guard.ts';
import { statusBody } from './api-bodies.ts';
import { acceptsGzip } from './compression.ts';
import type { AdminDeps } from './deps.ts';
import { securityHeaders } from './pages.ts';

/** Running requests and the fleet are looked at this often; ends are sent at once. */
const tickMs = 500;
const heartbeatTicks = 20;
const maxStreams = 100;
/** A reader this far behind, or that takes nothing from one tick to the next, is cut off; it comes back and gets what it missed. */
const maxBacklogBytes = 1024 * 1024;

/** Chosen by the page at random: nobody else can name it. */
const readerName = /^[0-9a-f]{32}$/;
/** Where a reader stood: event ids name the process too, since sequences begin anew with it. */
const eventId = /^([\w-]+):(\d+)$/;

/**
 * `/dashboard/api/live`: requests as they change and the state of the fleet, as server-sent events. `snapshot` replaces
 * what the reader knows, `request` updates one row, `status` is the fleet and the records; `held` is what is held back
 * of requests that name this `reader` in `x-lfo-watch`.
 */
export function addLiveStream(app: FastifyInstance, deps: AdminDeps, epoch: string): void {
  const { live, sessions, verifyKey, clock } = deps;
  const open = new Set<() => void>();
  app.addHook('preClose', (done) => {
    for (const end of open) end();
    done();
  });

  app.get<{ Querystring: { reader?: unknown } }>(
    '/dashboard/api/live',
    { exposeHeadRoute: false },
    (request, reply) => {
      if (open.size >= maxStreams) throw tooManyStreams();
      const { headers } = request;
      const presented = presentedKey(request);
      /** Keys are revoked and sessions end while their stream is open. */
      const isAllowed = (): boolean => {
        const session = presented === undefined ? sessions.identify(headers, 'GET') : undefined;
        return (session ?? verifyKey(presented))?.scopes.includes('admin') === true;
      };
      reply.hijack();
      const { raw } = reply;
      const isCompressed = acceptsGzip(headers['accept-encoding']);
      raw.writeHead(200, {
        ...securityHeaders,
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        vary: 'accept-encoding',
        ...(isCompressed && { 'content-encoding': 'gzip' }),
        'x-accel-buffering': 'no',
        'x-request-id': request.id,
        // Else the socket would outlive the stream, and a closing server waits for it.
        connection: 'close',
      });
      const { reader } = request.query;
      const end = follow(
        new EventBody(raw, isCompressed),
        headers['last-event-id'],
        isAllowed,
        typeof reader === 'string' ? reader : undefined,
      );
      const unwatch = deps.rowsOfOthers.watch();
      open.add(end);
      raw.once('close', () => {
        end();
        unwatch();
        open.delete(end);
      });
    },
  );

  /** Tells a reader of every change until it leaves, may not go on, or takes nothing; the returned function ends it. */
  function follow(
    body: EventBody,
    lastId: string | string[] | undefined,
    isAllowed: () => boolean,
    reader: string | undefined,
  ): () => void {
    let isOver = false;
    let wasBlocked = false;
    let status = '';
    let ticks = 0;
    let cancel = (): void => {};
    const known = sequenceOf(lastId, epoch);
    const missed = known === undefined ? undefined : live.since(known);
    const { sequence, counters, requests } = missed ?? live.snapshot();
    send(missed === undefined ? 'snapshot' : 'missed', sequence, { counters, requests });
    const unsubscribe = live.subscribe((change) => {
      send('request', change.sequence, { counters: change.counters, request: change.request });
    });
    const unwatch =
      reader === undefined || !readerName.test(reader)
        ? () => {}
        : live.watch(reader, (held) => send('held', undefined, held));
    tick();
    return end;

    function send(name: string, sequence: number | undefined, data: unknown): void {
      const id = sequence === undefined ? '' : `id: ${epoch}:${sequence}\n`;
      body.write(`event: ${name}\n${id}data: ${JSON.stringify(data)}\n\n`);
    }

    function end(): void {
      if (isOver) return;
      isOver = true;
      cancel();
      unsubscribe();
      unwatch();
      body.end();
    }

    function tick(): void {
      const { isBlocked } = body;
      if (!isAllowed() || (isBlocked && wasBlocked)) return end();
      wasBlocked = isBlocked;
      live.refresh();
      const now = statusBody(deps);
      const latest = JSON.stringify(now);
      if (latest !== status) send('status', undefined, now);
      else if (ticks % heartbeatTicks === 0) body.write(': alive\n\n');
      status = latest;
      ticks++;
      cancel = clock.schedule(tickMs, tick);
    }
  }
}

/** The way to one reader, compressed where it takes that: 200 requests are 270 kB as they are. */
class EventBody {
  readonly #raw: ServerResponse;
  readonly #gzip: Gzip | undefined;

  constructor(raw: ServerResponse, isCompressed: boolean) {
    this.#raw = raw;
    if (!isCompressed) return;
    // Each event leaves at once rather than when a block is full.
    const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH });
    gzip.pipe(raw);
    raw.once('close', () => gzip.destroy());
    this.#gzip = gzip;
  }

  /** The reader has yet to take what was written. */
  get isBlocked(): boolean {
    return this.#raw.writableNeedDrain || this.#gzip?.writableNeedDrain === true;
  }

  write(text: string): void {
    (this.#gzip ?? this.#raw).write(text);
    if (this.#raw.writableLength + (this.#gzip?.writableLength ?? 0) > maxBacklogBytes) this.#raw.destroy();
  }

  /** What a reader has not taken by now it would never take: waiting for it would keep the stream open. */
  end(): void {
    if (this.isBlocked) this.#raw.destroy();
    else (this.#gzip ?? this.#raw).end();
  }
}

function sequenceOf(lastId: string | string[] | undefined, epoch: string): number | undefined {
  const match = typeof lastId === 'string' ? eventId.exec(lastId) : null;
  return match?.[1] === epoch ? Number(match[2]) : undefined;
}

function tooManyStreams(): LfoError {
  return new LfoError('Too many dashboards are open: close one and try again.', {
    code: 'too_many_streams',
    status: 503,
    retryable: true,
    retryAfterMs: 5_000,
  });
}
