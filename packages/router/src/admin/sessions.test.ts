import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { KeyIdentity, VerifyKey } from '../core/identity.ts';
import { Sessions } from './sessions.ts';

const owner: KeyIdentity = { id: 'owner', scopes: ['admin'] };

function begun(verifyKey: VerifyKey = () => owner) {
  const clock = new FakeClock();
  const sessions = new Sessions(clock, verifyKey);
  const cookie = sessions.begin('the key', {}, false).split(';', 1)[0] ?? '';
  const csrf = sessions.find({ cookie })?.csrfToken ?? '';
  return { clock, sessions, cookie, csrf };
}

test('the cookie is enough to read; a change needs the CSRF token as well', () => {
  const { sessions, cookie, csrf } = begun();
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  assert.equal(sessions.identify({ cookie }, 'POST'), undefined);
  assert.equal(sessions.identify({ cookie, 'x-lfo-csrf': `${csrf}x` }, 'POST'), undefined);
  assert.equal(sessions.identify({ cookie, 'x-lfo-csrf': csrf }, 'POST'), owner);
});

test('the cookie is found among others, and foreign or empty ones open nothing', () => {
  const { sessions, cookie } = begun();
  assert.equal(sessions.identify({ cookie: `a=b; ${cookie}; c` }, 'GET'), owner);
  for (const other of [undefined, '', 'lfo_session=', 'lfo_session=guess', `x${cookie}`]) {
    assert.equal(sessions.identify(other === undefined ? {} : { cookie: other }, 'GET'), undefined);
  }
});

test('a revoked key ends its sessions at their next use', () => {
  let isValid = true;
  const { sessions, cookie } = begun(() => (isValid ? owner : undefined));
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  isValid = false;
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('a session lasts while it is used, and twelve hours after', () => {
  const { clock, sessions, cookie } = begun();
  const hour = 3_600_000;
  clock.advance(11 * hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  clock.advance(11 * hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  clock.advance(12 * hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('a session ends after seven days, however much it is used', () => {
  const { clock, sessions, cookie } = begun();
  const hour = 3_600_000;
  for (let hours = 0; hours < 7 * 24 - 1; hours++) {
    clock.advance(hour);
    assert.equal(sessions.identify({ cookie }, 'GET'), owner);
  }
  clock.advance(hour);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('two routers on one host keep their cookies apart by the port that the browser sees', () => {
  const [first, second] = [new Sessions(new FakeClock(), () => owner), new Sessions(new FakeClock(), () => owner)];
  const [at8080, at9000] = [{ host: 'localhost:8080' }, { host: 'localhost:9000' }];
  const cookies = [first.begin('k', at8080, false), second.begin('k', at9000, false)];
  const cookie = cookies.map((text) => text.split(';', 1)[0]).join('; ');
  assert.match(cookie, /^lfo_session_8080=[\w-]+; lfo_session_9000=[\w-]+$/);
  assert.equal(first.identify({ ...at8080, cookie }, 'GET'), owner);
  assert.equal(second.identify({ ...at9000, cookie }, 'GET'), owner);
  assert.match(first.end({ ...at8080, cookie }, false), /^lfo_session_8080=;/);
  assert.equal(first.identify({ ...at8080, cookie }, 'GET'), undefined);
  assert.equal(second.identify({ ...at9000, cookie }, 'GET'), owner);
});

test('logging out ends the session and makes the browser forget it', () => {
  const { sessions, cookie } = begun();
  assert.match(sessions.end({ cookie }, false), /^lfo_session=; Path=\/; Max-Age=0;/);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});

test('the cookie is out of reach of scripts and other sites, and of plain HTTP where there is TLS', () => {
  const sessions = new Sessions(new FakeClock(), () => owner);
  assert.match(
    sessions.begin('k', {}, false),
    /^lfo_session=[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Strict$/,
  );
  assert.match(sessions.begin('k', {}, true), /; Secure$/);
});

test('of too many sessions the oldest is forgotten', () => {
  const { sessions, cookie } = begun();
  for (let i = 0; i < 1_000; i++) sessions.begin('k', {}, false);
  assert.equal(sessions.identify({ cookie }, 'GET'), undefined);
});
