import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import type { KeyIdentity } from '../core/identity.ts';
import type { SessionRow } from '../records/tables.ts';
import { Sessions } from './sessions.ts';

const owner: KeyIdentity = { id: 'owner', scopes: ['admin'] };

const refs = { refOf: () => 'key:k', identityOf: (): KeyIdentity | undefined => owner };

/** A database that may be away. */
class Table {
  isAway = false;
  readonly rows = new Map<string, SessionRow>();

  async add(row: SessionRow): Promise<void> {
    this.#check();
    this.rows.set(row.token_digest, row);
  }

  async prolong(digest: string, expires: number): Promise<void> {
    this.#check();
    const row = this.rows.get(digest);
    if (row !== undefined) this.rows.set(digest, { ...row, expires_ms: expires });
  }

  async end(digest: string): Promise<void> {
    this.#check();
    this.rows.delete(digest);
  }

  async find(digest: string): Promise<SessionRow | undefined> {
    this.#check();
    return this.rows.get(digest);
  }

  async list(): Promise<readonly SessionRow[]> {
    this.#check();
    return [...this.rows.values()];
  }

  #check(): void {
    if (this.isAway) throw new Error('away');
  }
}

async function begun(identityOf = refs.identityOf) {
  const clock = new FakeClock();
  const table = new Table();
  const router = (): Sessions => new Sessions(clock, { ...refs, identityOf }, table);
  const sessions = router();
  const cookie = (await sessions.begin('the key', {}, false)).split(';', 1)[0] ?? '';
  const csrf = sessions.csrfTokenOf({ cookie }) ?? '';
  return { clock, table, router, sessions, cookie, csrf };
}

test('the cookie is enough to read; a change needs the CSRF token as well', async () => {
  const { sessions, cookie, csrf } = await begun();
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  assert.equal(sessions.identify({ cookie }, 'POST'), undefined);
  assert.equal(sessions.identify({ cookie, 'x-lfo-csrf': `${csrf}x` }, 'POST'), undefined);
  assert.equal(sessions.identify({ cookie, 'x-lfo-csrf': csrf }, 'POST'), owner);
});

test('the cookie is found among others, and foreign or empty ones open nothing', async () => {
  const { sessions, cookie } = await begun();
  assert.equal(sessions.identify({ cookie: `a=b; ${cookie}; c` }, 'GET'), owner);
  for (const other of [undefined, '', 'lfo_session=', 'lfo_session=guess', `x${cookie}`]) {
    assert.equal(sessions.identify(other === undefined ? {} : { cookie: other }, 'GET'), undefined);
  }
});

test('a revoked key ends its sessions at their next use', async () => {
  let isValid = true;
  const { sessions, cookie } = await begun(() => (isValid ? owner : undefined));
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  isValid = false;
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('a session lasts while it is used, and twelve hours after', async () => {
  const { clock, sessions, cookie } = await begun();
  const hour = 3_600_000;
  clock.advance(11 * hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  clock.advance(11 * hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  clock.advance(12 * hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('a session ends after seven days, however much it is used', async () => {
  const { clock, sessions, cookie } = await begun();
  const hour = 3_600_000;
  for (let hours = 0; hours < 7 * 24 - 1; hours++) {
    clock.advance(hour);
    assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  }
  clock.advance(hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('two routers on one host keep their cookies apart by the port that the browser sees', async () => {
  const [first, second] = [
    new Sessions(new FakeClock(), refs, new Table()),
    new Sessions(new FakeClock(), refs, new Table()),
  ];
  const [at8080, at9000] = [{ host: 'localhost:8080' }, { host: 'localhost:9000' }];
  const cookies = [await first.begin('k', at8080, false), await second.begin('k', at9000, false)];
  const cookie = cookies.map((text) => text.split(';', 1)[0]).join('; ');
  assert.match(cookie, /^lfo_session_8080=[\w-]+; lfo_session_9000=[\w-]+$/);
  assert.equal(first.identify({ ...at8080, cookie }, 'GET'), owner);
  assert.equal(second.identify({ ...at9000, cookie }, 'GET'), owner);
  assert.match(await first.end({ ...at8080, cookie }, false), /^lfo_session_8080=;/);
  assert.equal(first.identify({ ...at8080, cookie }, 'GET'), undefined);
  assert.equal(second.identify({ ...at9000, cookie }, 'GET'), owner);
});

test('logging out ends the session and makes the browser forget it', async () => {
  const { sessions, cookie } = await begun();
  assert.match(await sessions.end({ cookie }, false), /^lfo_session=; Path=\/; Max-Age=0;/);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('the cookie is out of reach of scripts and other sites, and of plain HTTP where there is TLS', async () => {
  const sessions = new Sessions(new FakeClock(), refs, new Table());
  assert.match(
    await sessions.begin('k', {}, false),
    /^lfo_session=[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Strict$/,
  );
  assert.match(await sessions.begin('k', {}, true), /; Secure$/);
});

test('of too many sessions the oldest is forgotten', async () => {
  const { sessions, cookie } = await begun();
  for (let i = 0; i < 1_000; i++) await sessions.begin('k', {}, false);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('a login is good at every router at once, for changes too, and ends everywhere', async () => {
  const { router, sessions, cookie, csrf } = await begun();
  const other = router();
  assert.equal(other.identify({ cookie }, 'GET'), undefined);
  await other.load({ cookie });
  assert.equal(other.identify({ cookie, 'x-lfo-csrf': csrf }, 'POST'), owner);
  assert.equal(other.load({ cookie }), undefined);
  await sessions.end({ cookie }, false);
  await other.refresh();
  assert.equal(other.identify({ cookie }, 'GET'), undefined);
});

test('a session that is used at one router has not run out at another', async () => {
  const { clock, router, sessions, cookie } = await begun();
  const other = router();
  await other.refresh();
  const hour = 3_600_000;
  for (let hours = 0; hours < 13; hours++) {
    clock.advance(hour);
    assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  }
  // As the server's guard asks.
  await other.load({ cookie });
  assert.equal(other.identify({ cookie }, 'GET'), owner);
  clock.advance(13 * hour);
  await other.load({ cookie });
  assert.equal(other.identify({ cookie }, 'GET'), undefined);
});

test('a session outlives the router, and what is known an outage of the database', async () => {
  const { router, table, sessions, cookie } = await begun();
  assert.ok(!JSON.stringify([...table.rows.values()]).includes(cookie.split('=')[1] ?? ''));
  const restarted = router();
  await restarted.refresh();
  table.isAway = true;
  await restarted.refresh();
  for (const each of [restarted, sessions]) assert.equal(each.identify({ cookie }, 'GET'), owner);
  const unknown = router();
  await unknown.load({ cookie });
  assert.equal(unknown.identify({ cookie }, 'GET'), undefined);
});

test('a cookie that nobody knows is looked up once a second', async () => {
  const { clock, router } = await begun();
  const other = router();
  const cookie = 'lfo_session=guess';
  await other.load({ cookie });
  assert.equal(other.load({ cookie }), undefined);
  clock.advance(1_001);
  assert.notEqual(other.load({ cookie }), undefined);
});

test('a logout while the database is away is good here at once and everywhere when it is back', async () => {
  const { table, router, sessions, cookie } = await begun();
  table.isAway = true;
  await sessions.end({ cookie }, false);
  table.isAway = false;
  await sessions.load({ cookie });
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined, 'before the database was told');
  await sessions.refresh();
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
  const other = router();
  await other.load({ cookie });
  assert.equal(other.identify({ cookie }, 'GET'), undefined);

  // With a database of its own a router is told of no outage.
  const again = await begun();
  again.table.isAway = true;
  await again.sessions.end({ cookie: again.cookie }, false);
  again.clock.advance(60_000);
  await settle();
  again.table.isAway = false;
  again.clock.advance(60_000);
  await settle();
  assert.equal(again.table.rows.size, 0);
});

test('a session begun while the database was away is good everywhere when it is back, and ends as others do', async () => {
  const { clock, table, router } = await begun();
  const sessions = router();
  table.isAway = true;
  const cookie = (await sessions.begin('the key', {}, false)).split(';', 1)[0] ?? '';
  await sessions.refresh();
  table.isAway = false;
  await sessions.refresh();
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  clock.advance(2_000);
  const other = router();
  await other.load({ cookie });
  assert.equal(other.identify({ cookie }, 'GET'), owner);
  await other.end({ cookie }, false);
  await sessions.refresh();
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});
