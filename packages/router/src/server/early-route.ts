import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';

import type { FastifyInstance, FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify';

import type { LimitsConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { IdSource } from '../core/id.ts';
import { readBody } from './body-parser.ts';

/** What an answer is made from, whoever has read it. */
export type ServedRequest = Pick<FastifyRequest, 'id' | 'headers' | 'identity' | 'receivedMs' | 'body'>;

/** Where it goes. */
export interface ServedReply extends Pick<FastifyReply, 'raw'> {
  /** Nobody else writes to it from here on. */
  hijack(): unknown;
}

/** A route that can be answered without Fastify. */
export interface EarlyRoute {
  readonly path: string;
  /** Asked before the body is read. */
  readonly isAdmitting: () => boolean;
  /** What it throws before `hijack` must have changed nothing: the request is then answered from its beginning again. */
  readonly serve: (request: ServedRequest, reply: ServedReply) => void | Promise<void>;
}

export interface EarlyDeps {
  readonly limits: LimitsConfig;
  readonly clock: Clock;
  readonly nextId: IdSource;
  readonly isDraining: () => boolean;
  /** Whose request it is where nothing of its head is in doubt; `undefined`: Fastify is to look at it. */
  readonly identify: (request: IncomingMessage, path: string) => KeyIdentity | undefined;
}

/**
 * Answers one route in front of Fastify, which costs a twentieth of a short request. It only ever says yes: whatever is
 * doubtful, refused, or fails before it is answered goes to Fastify as if nobody had looked at it, so that each refusal
 * has one place, one order and one log line.
 */
export class EarlyAnswers {
  readonly #app: FastifyInstance;
  readonly #deps: EarlyDeps;
  #route: EarlyRoute | undefined;
  /** Bodies of requests that went on to Fastify after they were read. */
  readonly #bodies = new WeakMap<IncomingMessage, Readable>();

  constructor(app: FastifyInstance, deps: EarlyDeps) {
    this.#app = app;
    this.#deps = deps;
    app.server.removeAllListeners('request').on('request', (request, response) => {
      const route = this.#route;
      if (route === undefined || !this.#answers(route, request, response)) app.routing(request, response);
    });
  }

  /** Has it answered early. Its handler in Fastify needs `body` as a hook. */
  add(route: EarlyRoute): void {
    this.#route = route;
  }

  /** Gives Fastify a body that has been read already. */
  readonly body: preParsingHookHandler = ({ raw }, _reply, payload, done) =>
    done(null, this.#bodies.get(raw) ?? payload);

  /** Whether the answer is under way. */
  #answers(route: EarlyRoute, request: IncomingMessage, response: ServerResponse): boolean {
    if (request.url !== route.path || request.method !== 'POST') return false;
    const { clock, identify, isDraining, limits, nextId } = this.#deps;
    const receivedMs = clock.nowMs();
    // Whoever closes the server is told so by Fastify.
    if (!isPlain(request.headers, limits.bodyBytes) || isDraining() || !this.#app.server.listening) return false;
    const identity = identify(request, route.path);
    if (identity === undefined || !route.isAdmitting()) return false;
    const { headers } = request;
    const handOver = (body: Readable): void => {
      this.#bodies.set(request, body);
      this.#app.routing(request, response);
    };
    // Node has seen to it that there are as many bytes as were announced.
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('error', (error) => handOver(failing(error)));
    request.on('end', () => {
      const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
      try {
        const body = readBody(bytes, limits, clock.nowMs());
        const served = { id: nextId(), headers, identity, receivedMs, body };
        route.serve(served, { raw: response, hijack() {} })?.catch(() => handOver(Readable.from([bytes])));
      } catch {
        handOver(Readable.from([bytes]));
      }
    });
    return true;
  }
}

/** JSON of a known length from a program; browsers, caches' questions and whatever is rare are left to Fastify. */
function isPlain(headers: IncomingHttpHeaders, maxBytes: number): boolean {
  const length = Number(headers['content-length']);
  return (
    headers['content-type'] === 'application/json' &&
    length > 0 &&
    length <= maxBytes &&
    doubtful.every((name) => headers[name] === undefined)
  );
}

const doubtful = [
  'content-encoding',
  'transfer-encoding',
  'expect',
  'origin',
  'sec-fetch-site',
  'cookie',
  'upgrade',
] as const;

/** A body that could not be read to its end. */
function failing(error: Error): Readable {
  return new Readable({
    read() {
      this.destroy(error);
    },
  });
}
