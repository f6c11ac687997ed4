import type { IncomingHttpHeaders } from 'node:http';
import type { SessionAuth } from '../server/session-auth.ts';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { KeyIdentity, VerifyKey } from '../core/identity.ts';

/** Browsers that have logged in. Kept in memory: a restart asks for the key again. */
export interface Session {
  /** Sent with whatever changes something. */
  readonly csrfToken: string;
  /** Asked about again at every use, so that a revoked key ends its sessions at once. */
  readonly key: string;
  /** When it ends however much it is used. */
  readonly endsMs: number;
  expiresMs: number;
}

const idleMs = 12 * 3_600_000;
/** A stolen cookie is not good for ever, and whoever works with the dashboard logs in once a week. */
const lifetimeMs = 7 * 24 * 3_600_000;
const maxSessions = 1_000;
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Routes of the dashboard that show nothing of anybody's. Pages ask for a session themselves, to send to the form. */
const openRoutes = new Set(['/dashboard', '/dashboard/*', '/dashboard/assets/:file', '/dashboard/login']);

/** The sessions of the dashboard, each named by a browser's cookie. */
export class Sessions implements SessionAuth {
  readonly #sessions = new Map<string, Session>();
  readonly #clock: Clock;
  readonly #verifyKey: VerifyKey;

  constructor(clock: Clock, verifyKey: VerifyKey) {
    this.#clock = clock;
    this.#verifyKey = verifyKey;
  }

  isOpen(route: string | undefined): boolean {
    return route !== undefined && openRoutes.has(route);
  }

  identify(headers: IncomingHttpHeaders, method: string): KeyIdentity | undefined {
    const session = this.find(headers);
    if (session === undefined) return undefined;
    if (!safeMethods.has(method) && headers['x-lfo-csrf'] !== session.csrfToken) return undefined;
    return this.#verifyKey(session.key);
  }

  /** The session of the request's cookie, its life prolonged. */
  find(headers: IncomingHttpHeaders): Session | undefined {
    const token = tokenOf(headers);
    const session = token === undefined ? undefined : this.#sessions.get(token);
    if (session === undefined) return undefined;
    const nowMs = this.#clock.nowMs();
    if (token !== undefined && session.expiresMs <= nowMs) return void this.#sessions.delete(token);
    session.expiresMs = Math.min(nowMs + idleMs, session.endsMs);
    return session;
  }

  /** Begins a session for a key that has been verified; answers the `Set-Cookie` value. */
  begin(key: string, headers: IncomingHttpHeaders, isSecure: boolean): string {
    const token = randomToken(32);
    const nowMs = this.#clock.nowMs();
    const endsMs = nowMs + lifetimeMs;
    this.#sessions.set(token, { key, csrfToken: randomToken(24), endsMs, expiresMs: nowMs + idleMs });
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > maxSessions && oldest !== undefined) this.#sessions.delete(oldest);
    return cookie(headers, token, lifetimeMs / 1000, isSecure);
  }

  /** Ends the session of the request's cookie; answers the `Set-Cookie` value that makes the browser forget it. */
  end(headers: IncomingHttpHeaders, isSecure: boolean): string {
    const token = tokenOf(headers);
    if (token !== undefined) this.#sessions.delete(token);
    return cookie(headers, '', 0, isSecure);
  }
}

/**
 * Cookies know no ports, so the name does: two routers on one host keep theirs apart. It is the port that the browser
 * sees, which routers behind one balancer share.
 */
function cookieName({ host = '' }: IncomingHttpHeaders): string {
  const port = /:(\d{1,5})$/.exec(host)?.[1];
  return port === undefined ? 'lfo_session' : `lfo_session_${port}`;
}

/** Sent to every path, since the playground talks to the interface that programs use. */
function cookie(headers: IncomingHttpHeaders, token: string, maxAgeS: number, isSecure: boolean): string {
  const attributes = `Path=/; Max-Age=${maxAgeS}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  return `${cookieName(headers)}=${token}; ${attributes}`;
}

function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const wanted = cookieName(headers);
  for (const pair of headers.cookie?.split(';') ?? []) {
    const [name, value] = pair.trim().split('=', 2);
    if (name === wanted && value !== undefined && value !== '') return value;
  }
  return undefined;
}
