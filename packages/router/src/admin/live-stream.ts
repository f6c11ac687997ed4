import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { LfoError } from '../core/errors.ts';
import { presentedKey } from '../server/guard.ts';
import { statusBody } from './api-bodies.ts';
import type { AdminDeps } from './deps.ts';
import { securityHeaders } from './pages.ts';

/** Running requests and the fleet are looked at this often; ends are sent at once. */
const tickMs = 500;
const heartbeatTicks = 20;
const maxStreams = 100;
/** A reader this far behind, or that takes nothing from one tick to the next, is cut off; it comes back and gets what it missed. */
const maxBacklogBytes = 1024 * 1024;

/** Chosen by the page at random: nobody else can name it. */
const readerName = /^[0-9a-f-]{36}$/;
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
      raw.writeHead(200, {
        ...securityHeaders,
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
        'x-request-id': request.id,
        // Else the socket would outlive the stream, and a closing server waits for it.
        connection: 'close',
      });
      const { reader } = request.query;
      const end = follow(raw, headers['last-event-id'], isAllowed, typeof reader === 'string' ? reader : undefined);
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
    raw: ServerResponse,
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
      raw.write(`event: ${name}\n${id}data: ${JSON.stringify(data)}\n\n`);
      if (raw.writableLength > maxBacklogBytes) raw.destroy();
    }

    /** What a reader has not taken by now it would never take: waiting for it would keep the stream open. */
    function end(): void {
      if (isOver) return;
      isOver = true;
      cancel();
      unsubscribe();
      unwatch();
      if (raw.writableNeedDrain) raw.destroy();
      else raw.end();
    }

    function tick(): void {
      const isBlocked = raw.writableNeedDrain;
      if (!isAllowed() || (isBlocked && wasBlocked)) return end();
      wasBlocked = isBlocked;
      live.refresh();
      const body = statusBody(deps);
      const latest = JSON.stringify(body);
      if (latest !== status) send('status', undefined, body);
      else if (ticks % heartbeatTicks === 0) raw.write(': alive\n\n');
      status = latest;
      ticks++;
      cancel = clock.schedule(tickMs, tick);
    }
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
