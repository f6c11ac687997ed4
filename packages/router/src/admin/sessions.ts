import { createHmac, hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { SessionAuth } from '../server/session-auth.ts';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { KeyRefs } from '../keys/verify-key.ts';
import type { SessionRow } from '../records/tables.ts';
import type { SessionTable } from '../records/session-table.ts';

/** A browser that has logged in, as memory has it. Times are Unix milliseconds. */
interface Session {
  /** Asked about again at every use, so that a revoked key ends its sessions at once. */
  readonly keyRef: string;
  /** When it ends however much it is used. */
  readonly endsMs: number;
  expiresMs: number;
  /** As the database has it. */
  storedExpiresMs: number;
  /** Whether the database knows of it; one that began while it was away is good here alone. */
  isStored: boolean;
}

const idleMs = 12 * 3_600_000;
/** A stolen cookie is not good for ever, and whoever works with the dashboard logs in once a week. */
const lifetimeMs = 7 * 24 * 3_600_000;
const maxSessions = 1_000;
/** That a session is used is written no more often than this. */
const prolongMs = 600_000;
/** Longest that a request waits to hear of a session that this router does not know, and how long a cookie is then taken for wrong. */
const lookMs = 500;
const unknownMs = 1_000;
const maxUnknown = 1_000;
/** How soon what the database was not told is told again, and how many logouts are kept for it. */
const retryMs = 10_000;
const maxEnded = 1_000;
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Routes of the dashboard that show nothing of anybody's. Pages ask for a session themselves, to send to the form. */
const openRoutes = new Set(['/dashboard', '/dashboard/*', '/dashboard/assets/:file', '/dashboard/login']);

/**
 * The sessions of the dashboard, each named by a browser's cookie. They are in memory, where they outlive an outage of
 * the database, and in the database, by the digest of the cookie, where they are good at every router and outlive this one.
 */
export class Sessions implements SessionAuth {
  readonly #sessions = new Map<string, Session>();
  /** Cookies that the database did not know, and until when it is not asked again. */
  readonly #unknown = new Map<string, number>();
  /** Those that have ended, until the database knows. */
  readonly #ended = new Set<string>();
  #isRetrying = false;
  readonly #clock: Clock;
  readonly #refs: Pick<KeyRefs, 'refOf' | 'identityOf'>;
  readonly #table: Pick<SessionTable, 'add' | 'prolong' | 'end' | 'find' | 'list'>;

  constructor(
    clock: Clock,
    refs: Pick<KeyRefs, 'refOf' | 'identityOf'>,
    table: Pick<SessionTable, 'add' | 'prolong' | 'end' | 'find' | 'list'>,
  ) {
    this.#clock = clock;
    this.#refs = refs;
    this.#table = table;
  }

  isOpen(route: string | undefined): boolean {
    return route !== undefined && openRoutes.has(route);
  }

  load(headers: IncomingHttpHeaders): Promise<void> | undefined {
    if (headers.cookie === undefined) return undefined;
    const token = tokenOf(headers);
    if (token === undefined) return undefined;
    const digest = digestOf(token);
    // One that has run out here may have been used at another router meanwhile.
    if (this.#isGood(digest) || this.#ended.has(digest) || (this.#unknown.get(digest) ?? 0) > this.#clock.nowMs())
      return undefined;
    return this.#load(digest);
  }

  identify(headers: IncomingHttpHeaders, method: string): KeyIdentity | undefined {
    const session = this.#find(headers);
    if (session === undefined) return undefined;
    if (!safeMethods.has(method) && headers['x-lfo-csrf'] !== this.csrfTokenOf(headers)) return undefined;
    return this.#refs.identityOf(session.keyRef);
  }

  /** What a browser with this session sends with whatever changes something; `undefined` without a session. */
  csrfTokenOf(headers: IncomingHttpHeaders): string | undefined {
    const token = tokenOf(headers);
    if (token === undefined || this.#find(headers) === undefined) return undefined;
    // Made of the cookie, so that every router makes the same.
    return createHmac('sha256', token).update('csrf').digest('base64url');
  }

  /** Begins a session for a key that has been verified; answers the `Set-Cookie` value. */
  async begin(key: string, headers: IncomingHttpHeaders, isSecure: boolean): Promise<string> {
    const token = randomToken(32);
    const keyRef = this.#refs.refOf(key);
    const nowMs = Math.round(this.#clock.wallMs());
    const endsMs = nowMs + lifetimeMs;
    const expiresMs = nowMs + idleMs;
    if (keyRef !== undefined) {
      const digest = digestOf(token);
      const session = { keyRef, endsMs, expiresMs, storedExpiresMs: expiresMs, isStored: false };
      this.#sessions.set(digest, session);
      // Without the database it is good here alone.
      await this.#soon(this.#orLater(this.#store(digest, session)));
    }
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > maxSessions && oldest !== undefined) this.#sessions.delete(oldest);
    return cookie(headers, token, lifetimeMs / 1000, isSecure);
  }

  /** Ends the session of the request's cookie everywhere; answers the `Set-Cookie` value that makes the browser forget it. */
  async end(headers: IncomingHttpHeaders, isSecure: boolean): Promise<string> {
    const token = tokenOf(headers);
    if (token !== undefined) {
      const digest = digestOf(token);
      this.#sessions.delete(digest);
      const [oldest] = this.#ended;
      if (this.#ended.size >= maxEnded && oldest !== undefined) this.#ended.delete(oldest);
      this.#ended.add(digest);
      await this.#soon(this.#orLater(this.#forget(digest)));
    }
    return cookie(headers, '', 0, isSecure);
  }

  /** Takes over what the database has: sessions that began or ended elsewhere. Never rejects. */
  async refresh(): Promise<void> {
    await this.#orLater(this.#catchUp());
    try {
      const before = [...this.#sessions].flatMap(([digest, { isStored }]) => (isStored ? [digest] : []));
      const rows = await this.#table.list(this.#clock.wallMs(), maxSessions);
      const stored = new Set(rows.map(({ token_digest: digest }) => digest));
      for (const digest of before) if (!stored.has(digest)) this.#sessions.delete(digest);
      for (const row of rows.toReversed()) this.#take(row);
    } catch {
      // Those known go on.
    }
  }

  /** Tells the database what it was not told while it was away. */
  async #catchUp(): Promise<void> {
    for (const digest of this.#ended) await this.#forget(digest);
    for (const [digest, session] of this.#sessions) if (!session.isStored) await this.#store(digest, session);
  }

  async #store(digest: string, session: Session): Promise<void> {
    const { keyRef, endsMs, expiresMs } = session;
    const row = { token_digest: digest, key_ref: keyRef, ends_ms: endsMs, expires_ms: expiresMs };
    await this.#table.add(row, Math.round(this.#clock.wallMs()));
    session.isStored = true;
  }

  async #forget(digest: string): Promise<void> {
    await this.#table.end(digest);
    this.#ended.delete(digest);
  }

  /** What fails is tried again until the database has it. */
  async #orLater(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch {
      if (this.#isRetrying) return;
      this.#isRetrying = true;
      this.#clock.schedule(retryMs, () => {
        this.#isRetrying = false;
        void this.#orLater(this.#catchUp());
      });
    }
  }

  #take({ token_digest: digest, key_ref: keyRef, ends_ms: endsMs, expires_ms: expiresMs }: SessionRow): void {
    if (this.#ended.has(digest)) return;
    const known = this.#sessions.get(digest);
    if (known === undefined) {
      this.#sessions.set(digest, { keyRef, endsMs, expiresMs, storedExpiresMs: expiresMs, isStored: true });
    } else known.expiresMs = Math.max(known.expiresMs, expiresMs);
  }

  async #load(digest: string): Promise<void> {
    await this.#soon(this.#table.find(digest).then((row) => row && this.#take(row)));
    if (this.#isGood(digest)) return;
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size >= maxUnknown && oldest !== undefined) this.#unknown.delete(oldest);
    this.#unknown.set(digest, this.#clock.nowMs() + unknownMs);
  }

  #isGood(digest: string): boolean {
    return (this.#sessions.get(digest)?.expiresMs ?? 0) > this.#clock.wallMs();
  }

  /** The session of the request's cookie, its life prolonged. */
  #find(headers: IncomingHttpHeaders): Session | undefined {
    const token = tokenOf(headers);
    if (token === undefined) return undefined;
    const digest = digestOf(token);
    const session = this.#sessions.get(digest);
    if (session === undefined) return undefined;
    const nowMs = Math.round(this.#clock.wallMs());
    if (session.expiresMs <= nowMs) return void this.#sessions.delete(digest);
    session.expiresMs = Math.min(nowMs + idleMs, session.endsMs);
    if (session.expiresMs - session.storedExpiresMs >= prolongMs) {
      session.storedExpiresMs = session.expiresMs;
      void this.#table.prolong(digest, session.expiresMs).catch(() => undefined);
    }
    return session;
  }

  /** Waits for the database a moment, whatever becomes of it. */
  async #soon(work: Promise<void>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.schedule(lookMs, resolve);
    await Promise.race([work.catch(() => undefined), late]);
    cancel();
  }
}

/** What is kept of a cookie: it cannot be made from this. */
function digestOf(token: string): string {
  return hash('sha256', token, 'hex');
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
