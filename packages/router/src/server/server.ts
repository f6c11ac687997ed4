import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

import type { SessionAuth } from './session-auth.ts';
import type { Clock } from '../core/clock.ts';
import type { LfoConfig } from '../config/config.ts';
import { retryHeaders, toLfoError } from './error-body.ts';
import { LfoError } from '../core/errors.ts';
import { uuidV7Source } from '../core/id.ts';
import type { Logger } from '../core/logger.ts';
import { checkEncoding, useJsonBodies } from './body-parser.ts';
import { EarlyAnswers } from './early-route.ts';
import { createGuard, type OpenRoute } from './guard.ts';
import type { FailedAuth, KeyIdentity, KeyQuota, VerifyKey } from '../core/identity.ts';
import { KnownRoutes, MethodNotAllowedError } from './known-routes.ts';
import { answerClientError } from './raw-errors.ts';
import { setRaw } from './raw-headers.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose request it is; set before any handler runs. */
    identity: KeyIdentity;
    /** Monotonic time at which the head had arrived. */
    receivedMs: number;
  }

  interface FastifyInstance {
    early: EarlyAnswers;
  }
}

/** What the HTTP server needs of the rest. */
export interface ServerDeps {
  readonly config: Pick<LfoConfig, 'server' | 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly verifyKey: VerifyKey;
  readonly failedAuth: FailedAuth;
  /** The dashboard's sessions; absent: keys alone are accepted. */
  readonly sessionAuth?: SessionAuth;
  /** A route that is open to anybody for a while. */
  readonly openRoute?: OpenRoute;
  /** @throws LfoError 403 where the key is not for this route */
  readonly checkScope: (identity: KeyIdentity, route: string | undefined) => void;
  /** Tells limited keys how much is left; absent: nothing is counted. */
  readonly quota?: Pick<KeyQuota, 'headers'>;
  /** Name of this router, for every answer; absent: none is told. */
  readonly router?: () => string;
  /** The process is ending: what still comes is answered, and its connection closed once no new ones are taken. */
  readonly isDraining?: () => boolean;
  /** Told of each request that was refused before it ran. */
  readonly onRefusal?: (refusal: RefusedRequest) => void;
  /** The body of an error, in the words of the wire that a route belongs to. */
  readonly errorBody: (error: LfoError, request: FastifyRequest) => object;
  /** Why an address that others have is not here, and what to do instead; undefined where nobody has it. */
  readonly whyNotServed?: (path: string) => string | undefined;
  /** Adds the routes; guards and errors are the server's. */
  readonly addRoutes: (app: FastifyInstance) => void;
}

/** A request that came to nothing, without anything of what it sent. */
export interface RefusedRequest {
  /** As in `x-request-id`. */
  readonly id: string;
  readonly error: LfoError;
  readonly method: string;
  /** Pattern of the route; absent where none was met, or nothing could be read. */
  readonly path: string | undefined;
  /** Whose request it is; absent where no key was accepted. */
  readonly identity: KeyIdentity | undefined;
}

const nobody: KeyIdentity = { id: 'nobody', scopes: [] };

/** Whether a request came without a key to a route that is open to anybody, where keys exist. */
export function isNobody(identity: KeyIdentity): boolean {
  return identity === nobody;
}

/** Node looks for overdue requests only this often; its default of 30 s would triple a 10 s limit. */
const overdueCheckMs = 1000;

/** The HTTP server, not yet listening: limits, guard and errors around the routes. Every error has the OpenAI envelope. */
export function buildServer(deps: ServerDeps): FastifyInstance {
  const { config, clock, log } = deps;
  const nextId = uuidV7Source(clock);
  const guard = createGuard(deps);

  /** Sockets whose request was refused before it had come to its end: what else comes on them gets no second answer. */
  const answeredEarly = new WeakSet<Duplex>();

  const app = Fastify({
    genReqId: nextId,
    bodyLimit: config.limits.bodyBytes,
    trustProxy: config.server.trustedProxies.length > 0 ? [...config.server.trustedProxies] : false,
    requestTimeout: config.server.bodyTimeoutMs,
    // What comes on a kept connection while the process ends is answered like any other.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 500 },
    http: {
      headersTimeout: config.server.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(overdueCheckMs, config.server.headersTimeoutMs),
      // A missing Host is refused by the guard, with a message of its own.
      requireHostHeader: false,
    },
    clientErrorHandler(error, socket) {
      if (answeredEarly.has(socket)) socket.destroy();
      else {
        const refused = answerClientError(error, socket, nextId);
        if (refused !== undefined) deps.onRefusal?.({ ...refused, method: '', path: undefined, identity: undefined });
      }
    },
    // Bad URLs never reach a hook, but must not tell strangers apart from friends either.
    frameworkErrors(error, request, reply) {
      try {
        guard.admit(request);
        sendError(error, request, reply);
      } catch (refusal) {
        sendError(refusal, request, reply);
      }
    },
  });

  const routes = new KnownRoutes(app, deps.whyNotServed);
  app.decorateRequest('identity');
  app.decorateRequest('receivedMs', 0);
  useJsonBodies(app, config.limits, clock);
  const isDraining = (): boolean => deps.isDraining?.() === true;
  const identify = (request: IncomingMessage, path: string): KeyIdentity | undefined => {
    try {
      const identity = guard.identify(request);
      // What is left of a key's limits is told in its refusals too.
      if (identity === undefined || identity.limits !== undefined) return undefined;
      deps.checkScope(identity, path);
      return identity;
    } catch {
      return undefined;
    }
  };
  app.decorate('early', new EarlyAnswers(app, { limits: config.limits, clock, nextId, isDraining, identify }));

  app.addHook('onRequest', (request, reply, done) => {
    request.receivedMs = clock.nowMs();
    reply.header('x-request-id', request.id);
    if (deps.router !== undefined) setRaw(reply, { 'x-lfo-router': deps.router() });
    // Not while there is a listener: whoever loses a connection opens another, which the listener's end could reset.
    if (isDraining() && !app.server.listening) setRaw(reply, { connection: 'close' });
    const origin = guard.allowedOrigin(request);
    if (origin !== undefined) {
      allowOrigin(request, reply, origin);
      if (request.method === 'OPTIONS') {
        void reply.status(204).send();
        return;
      }
    }
    // A browser that has logged in at another router is looked up; nobody else waits.
    const loading = deps.sessionAuth?.load?.(request.headers);
    if (loading === undefined) {
      admit(request, reply);
      return done();
    }
    void admitLater(loading, request, reply, done);
  });

  async function admitLater(
    loading: Promise<void>,
    request: FastifyRequest,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ): Promise<void> {
    try {
      await loading;
      admit(request, reply);
    } catch (error) {
      return done(error instanceof Error ? error : new Error(String(error)));
    }
    done();
  }

  function admit(request: FastifyRequest, reply: FastifyReply): void {
    request.identity = guard.admit(request) ?? nobody;
    if (deps.quota !== undefined) setRaw(reply, deps.quota.headers(request.identity));
    if (!isNobody(request.identity)) deps.checkScope(request.identity, request.routeOptions.url);
    // Before a byte of the body is read.
    if (request.is404) throw routes.missing(request);
    checkEncoding(request);
  }

  app.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  app.setNotFoundHandler((request) => {
    throw routes.missing(request);
  });

  deps.addRoutes(app);
  return app;

  function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const error = fromFastify(thrown) ?? toLfoError(thrown);
    const { id, method, identity } = request;
    const known = identity === undefined || isNobody(identity) ? undefined : identity;
    deps.onRefusal?.({ id, error, method, path: request.routeOptions.url, identity: known });
    const facts = { requestId: id, route: request.routeOptions.url, status: error.status, code: error.code };
    if (error.status >= 500) log.error({ ...facts, stack: framesOf(thrown) }, 'request failed');
    else log.info(facts, 'request refused');
    // Fastify would hang up after any bad body, and the reset could overtake the answer: Node reads the rest away, for
    // as long as the request's time lasts.
    if (error.status === 413 || request.raw.complete) reply.removeHeader('connection');
    if (!request.raw.complete && hasBody(request)) answeredEarly.add(request.raw.socket);
    if (error instanceof MethodNotAllowedError) reply.header('allow', error.allowed.join(', '));
    if (error.status === 401) reply.header('www-authenticate', 'Bearer');
    void reply
      .header('x-request-id', request.id)
      .headers(retryHeaders(error))
      .status(error.status)
      .send(deps.errorBody(error, request));
  }
}

function hasBody({ headers }: FastifyRequest): boolean {
  return 'transfer-encoding' in headers || 'content-length' in headers;
}

/** A header's name by RFC 9110. */
const headerName = /^[\w!#$%&'*+.^`|~-]+$/;
const maxAskedHeaders = 64;

/**
 * Set on the raw response, since chat answers bypass Fastify's. A page of an allowed origin may send whatever headers
 * it asks for, as each SDK has a dozen of its own; it never gets cookies sent along.
 */
function allowOrigin({ headers }: FastifyRequest, { raw }: FastifyReply, origin: string): void {
  raw.setHeader('access-control-allow-origin', origin);
  raw.setHeader('vary', 'Origin, Access-Control-Request-Headers');
  raw.setHeader('access-control-expose-headers', '*');
  const asked = headers['access-control-request-headers']?.split(',').map((name) => name.trim()) ?? [];
  const names = asked.filter((name) => headerName.test(name)).slice(0, maxAskedHeaders);
  raw.setHeader('access-control-allow-headers', names.join(', '));
  raw.setHeader('access-control-allow-methods', 'GET, POST');
  raw.setHeader('access-control-max-age', preflightAgeS);
  // Chromium asks this of pages that call into a private network.
  if (headers['access-control-request-private-network'] === 'true') {
    raw.setHeader('access-control-allow-private-network', 'true');
  }
}

/** As long as Chromium remembers one at most. */
const preflightAgeS = 7_200;

/** The framework's refusals, as errors of our own. */
function fromFastify(thrown: unknown): LfoError | undefined {
  if (!(thrown instanceof Error) || thrown instanceof LfoError || !('code' in thrown)) return undefined;
  switch (thrown.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new LfoError('The request body is too large.', { code: 'request_too_large', status: 413 });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new LfoError('Send the body as "content-type: application/json".', {
        code: 'unsupported_media_type',
        status: 415,
        param: 'content-type',
      });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new LfoError('The body is not as long as its Content-Length says.', { code: 'bad_http', status: 400 });
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new LfoError('The request target is not a valid path.', { code: 'bad_url', status: 400 });
    default:
      return undefined;
  }
}

/** Where it happened; an error's message may quote what a client sent. */
function framesOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  return thrown.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');
}
