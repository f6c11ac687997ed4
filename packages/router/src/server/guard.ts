import type { IncomingMessage } from 'node:http';
import { networkInterfaces } from 'node:os';

import type { FastifyRequest } from 'fastify';

import type { SessionAuth } from './session-auth.ts';
import type { LfoConfig } from '../config/config.ts';
import { LfoError } from '../core/errors.ts';
import type { FailedAuth, KeyIdentity, VerifyKey } from '../core/identity.ts';

/** Where a browser's foreign page may not reach, and who may come in. Everything is checked before routing counts. */
export interface Guard {
  /**
   * Host, then Origin, then key or session; `undefined` where a route is open to anyone.
   * @throws LfoError 400, 401, 403 or 429
   */
  admit(request: FastifyRequest): KeyIdentity | undefined;
  /**
   * Whose a request is that names a host of ours once, carries no more than a key, and comes from no browser; `undefined`
   * where `admit` must look at it.
   */
  identify(request: IncomingMessage): KeyIdentity | undefined;
  /** The origin to answer by CORS, where the operator allows the request's. */
  allowedOrigin(request: FastifyRequest): string | undefined;
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];
const wildcards = new Set(['0.0.0.0', '::', '[::]', '']);
const bearer = /^bearer +(\S+) *$/i;

export interface GuardDeps {
  readonly config: Pick<LfoConfig, 'server'>;
  readonly verifyKey: VerifyKey;
  readonly failedAuth: FailedAuth;
  /** The dashboard's sessions; absent: keys alone are accepted. */
  readonly sessionAuth?: SessionAuth;
  /** A route that needs no key while it is open, and is then served at this machine's own addresses too. */
  readonly openRoute?: OpenRoute;
}

/** A route that its owner opens to anybody for a while. */
export interface OpenRoute {
  readonly path: string;
  readonly isOpen: () => boolean;
}

export function createGuard({ config, verifyKey, failedAuth, sessionAuth, openRoute }: GuardDeps): Guard {
  const { host, allowedHosts, allowedOrigins } = config.server;
  const hosts = new Set(
    [...loopbackNames, ...[...allowedHosts, host].map(asHostName)].filter((n) => !wildcards.has(n)),
  );
  const origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));

  const allowedOrigin = ({ headers: { origin } }: FastifyRequest): string | undefined =>
    origin !== undefined && origins.has(origin.toLowerCase()) ? origin : undefined;

  return {
    allowedOrigin,
    identify(request) {
      const { host: name = '' } = request.headers;
      return hosts.has(asHostName(name)) && timesGiven(request, 'host') === 1
        ? verifyKey(presentedKey(request))
        : undefined;
    },
    admit(request) {
      const { url: route } = request.routeOptions;
      const isOpen = route === openRoute?.path && openRoute?.isOpen() === true;
      // DNS rebinding sends a name: who sends an address has typed it.
      checkHost(request, (name) => hosts.has(name) || (isOpen && isOwnAddress(name)));
      if (allowedOrigin(request) === undefined) checkSameOrigin(request);
      checkKeyOutsideUrl(request);
      if (route === '/health' || route === '/') return undefined;
      const presented = presentedKey(request);
      const session = presented === undefined ? sessionAuth?.identify(request.headers, request.method) : undefined;
      const identity = session ?? verifyKey(presented);
      if (identity !== undefined) return identity;
      // A wrong key is refused on open routes too: they must not tell it from a right one for free.
      const isOpenToAll = isOpen || route === '/ready' || sessionAuth?.isOpen(route) === true;
      if (presented === undefined && isOpenToAll) return undefined;
      throw presented === undefined ? missingKey() : wrongKey(failedAuth.fail(request.ip));
    },
  };
}

/** DNS rebinding: a page that points its own name at this machine still sends that name. */
function checkHost({ raw, headers }: FastifyRequest, isAllowed: (name: string) => boolean): void {
  const target = raw.url ?? '/';
  if (timesGiven(raw, 'host') > 1) {
    throw new LfoError('There are several Host headers: send one.', { code: 'bad_host', status: 400, param: 'host' });
  }
  const names = [headers.host];
  if (!target.startsWith('/') && target !== '*') {
    if (!URL.canParse(target)) throw new LfoError('The request target is not a URL.', { code: 'bad_url', status: 400 });
    names.push(new URL(target).host);
  }
  for (const name of names) {
    if (name === undefined || name === '') {
      throw new LfoError('The Host header is missing.', { code: 'bad_host', status: 400, param: 'host' });
    }
    if (!isAllowed(asHostName(name))) {
      throw new LfoError('This Host is not served: add it to server.allowed_hosts.', {
        code: 'host_not_allowed',
        status: 403,
        param: 'host',
      });
    }
  }
}

function isOwnAddress(name: string): boolean {
  const bare = name.replace(/^\[(.*)\]$/, '$1');
  return Object.values(networkInterfaces()).some((some) => some?.some(({ address }) => address === bare));
}

/** Node keeps the first of several and says nothing of the others. */
function timesGiven({ rawHeaders }: IncomingMessage, name: string): number {
  let times = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const given = rawHeaders[at];
    if (given?.length === name.length && given.toLowerCase() === name) times++;
  }
  return times;
}

/** A page of another origin may neither read nor cause anything. Programs outside browsers send neither header. */
function checkSameOrigin({ headers }: FastifyRequest): void {
  const { origin, host } = headers;
  const isForeign =
    headers['sec-fetch-site'] === 'cross-site' ||
    (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host?.toLowerCase()));
  if (!isForeign) return;
  throw new LfoError('Requests of other origins are refused: add this one to server.allowed_origins.', {
    code: 'origin_not_allowed',
    status: 403,
    param: 'origin',
  });
}

/** Google's older habit. URLs are written down by every proxy on the way, so that such a key is one for everybody. */
function checkKeyOutsideUrl({ raw: { url = '' } }: FastifyRequest): void {
  const query = url.indexOf('?');
  if (query === -1 || !/^\/(v1|v1beta|api)\//.test(url) || !/[?&]key=/.test(url.slice(query))) return;
  throw new LfoError('A key in the URL is read by every proxy: send it as the header "x-goog-api-key".', {
    code: 'key_in_url',
    status: 400,
    param: 'key',
  });
}

/** The key of a request, of the three headers that carry one in the order in which they count. */
export function presentedKey({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) return bearer.exec(authorization)?.[1] ?? authorization;
  const key = headers['x-api-key'] ?? headers['x-goog-api-key'];
  return typeof key === 'string' && key !== '' ? key : undefined;
}

function missingKey(): LfoError {
  return new LfoError('A key is needed: send it as "Authorization: Bearer …".', {
    code: 'invalid_api_key',
    status: 401,
  });
}

function wrongKey(waitMs: number | undefined): LfoError {
  if (waitMs === undefined) {
    return new LfoError('This key is not valid here.', { code: 'invalid_api_key', status: 401 });
  }
  return new LfoError('Too many wrong keys from this address. Wait, or send a valid one.', {
    code: 'too_many_failed_keys',
    status: 429,
    retryAfterMs: waitMs,
  });
}

/** Lower case, without a port; a bare IPv6 address in brackets as the Host header has it. */
function asHostName(host: string): string {
  const name = host.toLowerCase();
  if (!name.startsWith('[') && name.split(':').length > 2) return `[${name}]`;
  return name.replace(/:\d*$/, '');
}
