import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import type { Script } from '@lfo/testing/upstream/exchange.ts';
import { RequestError } from '../../core/errors.ts';
import { createImageFetch, publicAddressTest } from './fetch-image.ts';

const png = Buffer.from('iVBORw0KGgoAAAANSUhEUg==', 'base64');
const never = new AbortController().signal;

const image: Script = async (exchange) => {
  exchange.head(200, { 'content-type': 'text/html' });
  await exchange.write(png);
  exchange.finish();
};

async function upstreamFor(t: TestContext, script: Script): Promise<ScriptedUpstream> {
  const upstream = await ScriptedUpstream.start(script);
  t.after(() => upstream.close());
  return upstream;
}

test('addresses inside any network are not public', () => {
  const isPublic = publicAddressTest();
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    '::ffff:8.8.8.8',
    'fc00::1',
    'fe80::1',
    '64:ff9b::a00:1',
    '2002:a00:1::',
    '2001:db8::1',
    'localhost',
    '',
  ]) {
    assert.equal(isPublic(address), false, address);
  }
  for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) assert.equal(isPublic(address), true, address);
});

test('nothing is sent to an address that is not public, by number or by name', async (t) => {
  const upstream = await upstreamFor(t, image);
  const { port } = new URL(upstream.origin);
  const mixed = createImageFetch({ clock: new FakeClock(), resolve: () => Promise.resolve(['8.8.8.8', '127.0.0.1']) });
  const plain = createImageFetch({ clock: new FakeClock() });
  for (const url of [
    `${upstream.origin}/a.png`,
    `http://[::1]:${port}/`,
    `http://2130706433:${port}/`,
    `http://user@8.8.8.8/`,
  ]) {
    await assert.rejects(plain.fetch(url, never), RequestError);
  }
  await assert.rejects(mixed.fetch(`http://images.test:${port}/`, never), RequestError);
  assert.equal(upstream.requests.length, 0);
});

test('the name is resolved once, the type read off the bytes', async (t) => {
  const upstream = await upstreamFor(t, image);
  let resolved = 0;
  const images = createImageFetch({
    clock: new FakeClock(),
    isAllowed: () => true,
    resolve: () => {
      resolved++;
      return Promise.resolve(['127.0.0.1']);
    },
  });
  const url = await images.fetch(`http://images.test:${new URL(upstream.origin).port}/a`, never);
  assert.equal(url, `data:image/png;base64,${png.toString('base64')}`);
  assert.equal(resolved, 1);
  assert.match(upstream.requests[0]?.headers.host ?? '', /^images\.test:/);
});

test('redirects, large answers and other content are refused', async (t) => {
  const upstream = await upstreamFor(t, image);
  const images = createImageFetch({ clock: new FakeClock(), isAllowed: () => true, maxBytes: 1_000 });
  upstream.next(
    (exchange) => exchange.json(302, {}, { location: upstream.origin }),
    (exchange) => {
      exchange.head(200, {});
      exchange.finish(`${png.toString('latin1')}${'x'.repeat(2_000)}`);
    },
    (exchange) => exchange.json(200, { secret: true }),
  );
  for (const why of [/redirects/, /too large/, /not a PNG/])
    await assert.rejects(images.fetch(upstream.origin, never), why);
  assert.equal(upstream.requests.length, 3);
});

test('a slow server is left after the time limit, a client that goes at once', async (t) => {
  const upstream = await upstreamFor(t, (exchange) => exchange.silence());
  const clock = new FakeClock();
  const images = createImageFetch({ clock, isAllowed: () => true });
  const slow = assert.rejects(images.fetch(upstream.origin, never), /too long/);
  await upstream.received(1);
  clock.advance(5_000);
  await slow;
  const gone = new AbortController();
  const left = assert.rejects(images.fetch(upstream.origin, gone.signal), /the client left/);
  await upstream.received(2);
  gone.abort(new Error('the client left'));
  await left;
  await settle();
  assert.equal(clock.pendingTimers, 0);
});
