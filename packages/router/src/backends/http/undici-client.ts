import { Agent, type Dispatcher } from 'undici';
import type { Clock } from '../../core/clock.ts';
import type { Tier } from '../../core/request.ts';
import type { BackendError } from '../../core/errors.ts';
import type { HttpClient, HttpRequest, HttpResponse } from './client.ts';
import { createConnector } from './connector.ts';
import { bodyError, failed, isLostBeforeAnswer, sendError } from './send-error.ts';

export interface HttpClientOptions {
  /** Id of the backend this client serves, for its errors. */
  readonly backend: string;
  /** `local`: connects only to addresses of the user's own network, whatever a name resolves to. */
  readonly tier: Tier;
  /** Origins (`https://host:port`, no default port) it may send to; a request to any other never leaves. */
  readonly origins: ReadonlySet<string>;
  readonly clock: Clock;
  /** Name resolution, TCP and TLS together. */
  readonly connectMs: number;
  /** An idle connection is kept this long; default 60 s. A backend's own keep-alive hint wins. */
  readonly keepAliveMs?: number;
}

/** One backend's way out: HTTP/1.1 with keep-alive; no redirects, no compression, no time-outs but that of connecting. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { backend, origins } = options;
  /** Errors of sockets that had answered before: a kept connection which the backend closed meanwhile. */
  const staleErrors = new WeakSet<Error>();
  const agent = new Agent({
    connect: createConnector({
      clock: options.clock,
      connectMs: options.connectMs,
      onlyLocal: options.tier === 'local',
      onSocketError: (socket, error) => socket.bytesRead > 0 && staleErrors.add(error),
    }),
    allowH2: false,
    keepAliveTimeout: options.keepAliveMs ?? 60_000,
    // Budgets are the caller's, who knows what a backend is doing; undici's timers are coarse besides.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  const dispatch = async (request: HttpRequest): Promise<Dispatcher.ResponseData> => {
    const sent = {
      origin: request.url.origin,
      path: request.url.pathname + request.url.search,
      method: request.method,
      headers: { ...request.headers, 'accept-encoding': 'identity' },
      body: request.body ?? null,
      signal: request.signal,
    };
    try {
      return await agent.request(sent);
    } catch (error) {
      if (request.signal.aborted || !isLostBeforeAnswer(error, staleErrors)) throw error;
      return await agent.request(sent);
    }
  };

  return {
    async send(request) {
      request.signal.throwIfAborted();
      if (!origins.has(request.url.origin)) throw failed('foreignOrigin', backend);
      let response: Dispatcher.ResponseData;
      try {
        response = await dispatch(request);
      } catch (error) {
        throw request.signal.aborted ? request.signal.reason : sendError(error, backend);
      }
      const { body } = response;
      // A body destroyed before anyone reads it must not become an uncaught error.
      body.on('error', () => undefined);
      const refusal = refusalOf(response, backend);
      if (refusal !== undefined) {
        body.destroy(refusal);
        throw refusal;
      }
      return { status: response.statusCode, headers: response.headers, body: mapped(body, request.signal, backend) };
    },
    async close() {
      if (!agent.destroyed) await agent.destroy(failed('closed', backend));
    },
  };
}

function refusalOf({ statusCode, headers }: Dispatcher.ResponseData, backend: string): BackendError | undefined {
  if (statusCode >= 300 && statusCode < 400) return failed('redirect', backend);
  const encoding = headers['content-encoding'];
  return encoding === undefined || encoding === 'identity' ? undefined : failed('encoded', backend);
}

/** The body with its errors told in our terms; an iterator by hand, as one more generator costs 1 µs a chunk. */
function mapped(body: Dispatcher.ResponseData['body'], signal: AbortSignal, backend: string): HttpResponse['body'] {
  const rethrow = (error: unknown): never => {
    throw signal.aborted ? signal.reason : bodyError(error, backend);
  };
  return {
    destroy: (error) => void body.destroy(error),
    [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
      const chunks: AsyncIterator<Uint8Array> = body[Symbol.asyncIterator]();
      return {
        next: () => chunks.next().catch(rethrow),
        // Destroyed outright: the iterator's own `return` would wait behind a pending `next`.
        return: () => {
          body.destroy();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}
