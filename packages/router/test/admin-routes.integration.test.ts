import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import { createGunzip } from 'node:zlib';
import { startDashboard, type DashboardServerOptions } from '@lfo/testing/dashboard-server.ts';
import { recordedDays } from '../src/records/sample-days.ts';
import { at } from '@lfo/testing/sse.ts';
import { request as send } from 'undici';
import type { VerifyKey } from '../src/core/identity.ts';
import { beginTrace } from '../src/core/trace.ts';

const key = 'lfo-a-key-of-some-length';
const bearer = { authorization: `Bearer ${key}` };

async function start(t: TestContext, options: DashboardServerOptions = {}) {
  const server = await startDashboard(t, options);
  const ask = async (method: 'GET' | 'POST', url: string, headers: Record<string, string> = {}, payload?: object) => {
    const response = await server.app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    const body: unknown = isJson ? JSON.parse(response.body) : response.body;
    return { status: response.statusCode, headers: response.headers, body };
  };
  const chat = async (headers: Record<string, string> = {}) => {
    const { headers: answered } = await ask('POST', '/v1/chat/completions', headers, {
      messages: [{ role: 'user', content: 'hi' }],
    });
    return String(answered['x-request-id']);
  };
  return { ...server, ask, chat };
}

async function logIn(ask: Awaited<ReturnType<typeof start>>['ask']) {
  const { headers } = await ask('POST', '/dashboard/login', {}, { key });
  const cookie = String(headers['set-cookie']).split(';', 1)[0] ?? '';
  const csrf = String(at((await ask('GET', '/dashboard/api/session', { cookie })).body, 'csrfToken'));
  return { cookie, csrf };
}

test('without a session pages lead to the form and the interface refuses', async (t) => {
  const { ask } = await start(t, { authToken: key });
  for (const page of ['/dashboard/now', '/dashboard/requests/1', '/dashboard/no-such-view']) {
    const { status, headers } = await ask('GET', page);
    assert.deepEqual([status, headers.location], [303, '/dashboard/login']);
  }
  for (const path of ['session', 'live', 'requests', 'requests/1', 'trends', 'confidence', 'fleet', 'nothing']) {
    assert.deepEqual([path, (await ask('GET', `/dashboard/api/${path}`)).status], [path, 401]);
  }
  assert.equal((await ask('POST', '/dashboard/logout')).status, 401);
  assert.equal((await ask('GET', '/dashboard/login')).status, 200);
});

test('a bearer key serves instead of the cookie, a wrong one is refused on open pages too', async (t) => {
  const { ask } = await start(t, { authToken: key });
  assert.equal((await ask('GET', '/dashboard/now', bearer)).status, 200);
  assert.equal((await ask('GET', '/dashboard/api/fleet', bearer)).status, 200);
  for (const path of ['/dashboard/now', '/dashboard/login']) {
    assert.equal((await ask('GET', path, { authorization: 'Bearer wrong' })).status, 401);
  }
});

test('everything the dashboard answers is fenced in', async (t) => {
  const { ask } = await start(t, { authToken: key });
  for (const [path, headers] of [
    ['/dashboard/login', {}],
    ['/dashboard/api/fleet', bearer],
    ['/dashboard/api/fleet', {}],
  ] as const) {
    const answer = await ask('GET', path, headers);
    assert.match(String(answer.headers['content-security-policy']), /^default-src 'none'; script-src 'self'; /, path);
    assert.match(String(answer.headers['content-security-policy']), /frame-ancestors 'none'/);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(answer.headers['referrer-policy'], 'no-referrer');
  }
});

test('the form trades a key for a session, and slows guesses down', async (t) => {
  const { ask } = await start(t, { authToken: key });
  const guess = () => ask('POST', '/dashboard/login', {}, { key: 'guess' });
  for (let i = 0; i < 10; i++) assert.equal((await guess()).status, 401);
  const limited = await guess();
  assert.equal(limited.status, 429);
  assert.ok(Number(limited.headers['retry-after']) > 0);
  assert.equal((await ask('POST', '/dashboard/login', {}, {})).status, 400);
  const { cookie } = await logIn(ask);
  assert.equal((await ask('GET', '/dashboard/now', { cookie })).status, 200);
  assert.equal((await ask('GET', '/dashboard/api/requests', { cookie })).status, 200);
});

test('with a session, what changes something needs its CSRF token, the chat of the playground included', async (t) => {
  const { ask } = await start(t, { authToken: key });
  const { cookie, csrf } = await logIn(ask);
  const body = { messages: [{ role: 'user', content: 'hi' }] };
  assert.equal((await ask('POST', '/v1/chat/completions', { cookie }, body)).status, 401);
  assert.equal((await ask('POST', '/v1/chat/completions', { cookie, 'x-lfo-csrf': csrf }, body)).status, 200);
  assert.equal((await ask('POST', '/dashboard/logout', { cookie, 'x-lfo-csrf': csrf })).status, 204);
  assert.equal((await ask('GET', '/dashboard/api/fleet', { cookie })).status, 401);
});

test('a key without the admin scope neither logs in nor looks', async (t) => {
  const verifyKey: VerifyKey = (presented) => (presented === key ? { id: 'chatter', scopes: ['chat'] } : undefined);
  const { ask } = await start(t, { verifyKey });
  assert.equal((await ask('POST', '/dashboard/login', {}, { key })).status, 403);
  assert.equal((await ask('GET', '/dashboard/api/fleet', bearer)).status, 403);
  assert.equal((await ask('GET', '/dashboard/now', bearer)).status, 303);
});

test('without any key the dashboard is open, and its form leads inside', async (t) => {
  const { ask } = await start(t);
  assert.equal((await ask('GET', '/dashboard/now')).status, 200);
  assert.equal((await ask('GET', '/dashboard/login')).headers.location, '/dashboard/now');
  assert.equal((await ask('GET', '/dashboard/api/fleet', { origin: 'https://evil.test' })).status, 403);
});

test('assets are compressed where that is understood, kept for good, and nothing else is a file', async (t) => {
  const { ask } = await start(t);
  const page = String((await ask('GET', '/dashboard/now')).body);
  const script = /assets\/app-\w+\.js/.exec(page)?.[0] ?? '';
  const plain = await ask('GET', `/dashboard/${script}`);
  const zipped = await ask('GET', `/dashboard/${script}`, { 'accept-encoding': 'gzip, br' });
  assert.match(String(plain.headers['cache-control']), /immutable/);
  assert.equal(zipped.headers['content-encoding'], 'br');
  assert.ok(Number(zipped.headers['content-length']) < Number(plain.headers['content-length']) / 2);
  for (const name of ['..%2f..%2fpackage.json', '%2e%2e%2fpackage.json', 'constructor', '']) {
    assert.equal((await ask('GET', `/dashboard/assets/${name}`)).status === 200 && name !== '', false, name);
  }
});

test('requests are paged and filtered, and odd questions are refused by name', async (t) => {
  const { ask } = await start(t, { rows: recordedDays(Date.now(), 30, 60_000) });
  const first = await ask('GET', '/dashboard/api/requests?limit=20');
  const next = String(at(first.body, 'next'));
  const second = await ask('GET', `/dashboard/api/requests?limit=20&before=${next}`);
  assert.equal(at(second.body, 'requests', 9, 'id') !== undefined && at(second.body, 'requests', 10), undefined);
  assert.equal(at(second.body, 'next'), null);
  for (const query of ['route=moon', 'limit=0', 'limit=1000', 'reason=__proto__', 'outcome=odd']) {
    const { status, body } = await ask('GET', `/dashboard/api/requests?${query}`);
    assert.deepEqual([status, at(body, 'error', 'param')], [400, query.split('=', 1)[0]]);
  }
  assert.equal((await ask('GET', '/dashboard/api/trends?range=9y')).status, 400);
});

test('a request can be looked at at once, before it is stored, and after', async (t) => {
  const { ask, chat, recorder } = await start(t);
  const id = await chat({ 'x-lfo-mode': 'auto' });
  for (const wait of [async () => {}, () => recorder.flush()]) {
    await wait();
    const { body } = await ask('GET', `/dashboard/api/requests/${id}`);
    assert.deepEqual(
      [at(body, 'request', 'route'), at(body, 'request', 'attempts', 0, 'outcome')],
      ['cloud', 'escalated'],
    );
  }
  assert.equal((await ask('GET', '/dashboard/api/requests/unknown')).status, 404);
});

test('feedback is stored with its request; unknown ids and other keys’ requests look the same', async (t) => {
  const keys = { one: 'key-1', two: 'key-2' };
  const verifyKey: VerifyKey = (presented) => {
    if (presented === key) return { id: 'owner', scopes: ['admin'] };
    return presented === keys.one || presented === keys.two ? { id: presented, scopes: ['chat'] } : undefined;
  };
  const { ask, chat, recorder } = await start(t, { verifyKey });
  const as = (which: string) => ({ authorization: `Bearer ${which}` });
  const id = await chat(as(keys.one));
  const say = async (which: string, body: object) => (await ask('POST', '/v1/feedback', as(which), body)).status;
  assert.equal(await say(keys.one, { request_id: id, verdict: 'good' }), 200);
  assert.equal(await say(keys.two, { request_id: id, verdict: 'bad' }), 404);
  assert.equal(await say(keys.one, { request_id: 'unknown', verdict: 'bad' }), 404);
  assert.equal(await say(keys.one, { request_id: id, verdict: 'so-so' }), 400);
  await recorder.flush();
  assert.equal(await say(key, { request_id: id, verdict: 'bad', expected_route: 'cloud' }), 200);
  const { body } = await ask('GET', `/dashboard/api/requests/${id}`, as(key));
  assert.deepEqual([at(body, 'feedback', 'verdict'), at(body, 'feedback', 'expectedRoute')], ['bad', 'cloud']);
});

test('feedback may name a request by the id of its answer, before that is stored and after', async (t) => {
  const { ask, recorder } = await start(t);
  const { headers, body: answer } = await ask(
    'POST',
    '/v1/chat/completions',
    {},
    {
      messages: [{ role: 'user', content: 'hi' }],
    },
  );
  const id = String(headers['x-request-id']);
  const say = (verdict: string) => ask('POST', '/v1/feedback', {}, { request_id: String(at(answer, 'id')), verdict });
  const said = async () => at((await ask('GET', `/dashboard/api/requests/${id}`)).body, 'feedback', 'verdict');
  const early = await say('bad');
  assert.deepEqual([early.status, at(early.body, 'request_id')], [200, id]);
  await recorder.flush();
  assert.equal(await said(), 'bad');
  assert.equal((await say('good')).status, 200);
  assert.equal(await said(), 'good');
});

test('while the database is away the views say so, and requests are served', async (t) => {
  const { ask, chat, store } = await start(t);
  await store.close();
  const { status, body } = await ask('GET', '/dashboard/api/trends');
  assert.deepEqual([status, at(body, 'error', 'code')], [503, 'records_unavailable']);
  assert.match(await chat(), /^[0-9a-f-]{36}$/);
});

test('a backend is drained and resumed, and an unknown one is not', async (t) => {
  const asked: unknown[] = [];
  const { ask } = await start(t, { setDraining: (id, isDraining) => id === 'embedded' && asked.push(isDraining) > 0 });
  assert.equal((await ask('POST', '/dashboard/api/fleet/embedded/drain')).status, 204);
  assert.equal((await ask('POST', '/dashboard/api/fleet/embedded/resume')).status, 204);
  assert.equal((await ask('POST', '/dashboard/api/fleet/moon/drain')).status, 404);
  assert.deepEqual(asked, [true, false]);
});

/** Reads a live stream until `enough` says so. */
async function readLive(
  url: string,
  headers: Record<string, string>,
  enough: (text: string) => boolean,
): Promise<string> {
  const { body } = await send(`${url}/dashboard/api/live`, { headers });
  let text = '';
  for await (const chunk of body) {
    text += String(chunk);
    if (enough(text)) break;
  }
  return text;
}

test('the live stream tells requests as they end, and who comes back only what it missed', async (t) => {
  const { chat, listen } = await start(t);
  const url = await listen();
  const first = await chat();
  const seen = await readLive(url, {}, (text) => text.includes('event: status'));
  assert.ok(seen.includes('event: snapshot') && seen.includes(first));
  const lastId = /^id: (.*)$/m.exec(seen)?.[1] ?? '';
  const second = await chat();
  const missed = await readLive(url, { 'last-event-id': lastId }, (text) => text.includes('event: status'));
  assert.ok(missed.includes('event: missed') && missed.includes(second) && !missed.includes(first));
  const stranger = await readLive(url, { 'last-event-id': 'other:1' }, (text) => text.includes('event: status'));
  assert.ok(stranger.includes('event: snapshot') && stranger.includes(first));
});

test('the live stream is compressed for who takes that, and each event leaves at once', async (t) => {
  const { live, chat, listen } = await start(t);
  const begin = (n: number): void => {
    const request = { id: `r${n}`, model: 'a-model', stream: false, hints: { mode: 'auto' as const } };
    live.begin(request, beginTrace(request, { startMs: n, startedAtMs: n }, 0.7));
  };
  for (let n = 0; n < 200; n++) begin(n);
  const { body, headers } = await send(`${await listen()}/dashboard/api/live`, {
    headers: { 'accept-encoding': 'gzip, deflate' },
  });
  assert.equal(headers['content-encoding'], 'gzip');
  let bytes = 0;
  let text = '';
  let later: string | undefined;
  const plain = body.on('data', (chunk: Buffer) => (bytes += chunk.length)).pipe(createGunzip());
  for await (const chunk of plain) {
    text += String(chunk);
    if (later === undefined && text.includes('event: status')) later = await chat();
    if (later !== undefined && text.includes(later)) break;
  }
  assert.ok(text.length > 100_000 && bytes < 30_000, `${bytes} bytes of ${text.length}`);
});

/** Opens a live stream whose reader takes nothing, and fills the way to it. */
async function blockedStream(
  { app, live }: Awaited<ReturnType<typeof start>>,
  url: string,
  headers: Record<string, string>,
) {
  const opened = once(app.server, 'request');
  const { body } = await send(`${url}/dashboard/api/live`, { headers });
  const response: ServerResponse = (await opened)[1];
  body.on('error', () => {}).pause();
  const closed = once(response, 'close');
  let told = 0;
  const tell = (): void => {
    const request = { id: `r${told++}`, model: 'm'.repeat(500), stream: false, hints: { mode: 'auto' as const } };
    live.begin(request, beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7));
  };
  while (response.writableLength < 64 * 1024 && !response.closed) {
    for (let i = 0; i < 50; i++) tell();
    await new Promise(setImmediate);
  }
  return { closed, tell };
}

test('a stream whose session has ended is told nothing more, though its reader takes nothing', async (t) => {
  let isValid = true;
  const verifyKey: VerifyKey = (presented) =>
    isValid && presented === key ? { id: 'k', scopes: ['admin'] } : undefined;
  const server = await start(t, { verifyKey });
  const url = await server.listen();
  const { host } = new URL(url);
  const { headers } = await server.ask('POST', '/dashboard/login', { host }, { key });
  const cookie = String(headers['set-cookie']).split(';', 1)[0] ?? '';
  const { closed, tell } = await blockedStream(server, url, { cookie });
  isValid = false;
  const telling = setInterval(tell, 20);
  await closed;
  clearInterval(telling);
  tell();
  await new Promise(setImmediate);
});

test('a reader that has taken nothing for a while is cut off', async (t) => {
  const server = await start(t);
  const { closed } = await blockedStream(server, await server.listen(), {});
  await closed;
});

test('a stream that came in by a key ends when the key does', async (t) => {
  let isValid = true;
  const verifyKey: VerifyKey = (presented) =>
    isValid && presented === key ? { id: 'k', scopes: ['admin'] } : undefined;
  const { listen } = await start(t, { verifyKey });
  const { body } = await send(`${await listen()}/dashboard/api/live`, { headers: bearer });
  isValid = false;
  assert.match(await body.text(), /^event: snapshot/);
});

test('a request that moves while the stream of an ended session comes to its end is not told to it', async (t) => {
  let isValid = true;
  const verifyKey: VerifyKey = (presented) =>
    isValid && presented === key ? { id: 'k', scopes: ['admin'] } : undefined;
  const { app, listen, live } = await start(t, { verifyKey });
  const url = await listen();
  const opened = once(app.server, 'request');
  const { body } = await send(`${url}/dashboard/api/live`, { headers: bearer });
  const response: ServerResponse = (await opened)[1];
  // Said when nothing more may be written; what would be all the same ends the process.
  const ended = once(response, 'prefinish').then(() => true);
  response.once('prefinish', () => {
    const request = { id: 'late', model: 'm', stream: false, hints: { mode: 'auto' as const } };
    live.begin(request, beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7));
  });
  isValid = false;
  assert.doesNotMatch(await body.text(), /"late"/);
  assert.ok(await ended);
});

test('pages of other origins get no live stream, and closing the server ends those there are', async (t) => {
  const { app, listen } = await start(t);
  const url = await listen();
  const foreign = await send(`${url}/dashboard/api/live`, { headers: { origin: 'https://evil.test' } });
  await foreign.body.dump();
  assert.equal(foreign.statusCode, 403);
  const { body } = await send(`${url}/dashboard/api/live`);
  const ended = body.text();
  await app.close();
  assert.ok((await ended).startsWith('event: snapshot'));
});
