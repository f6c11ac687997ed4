import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { scriptedRouter } from '@lfo/testing/scripted-router.ts';
import { request } from 'undici';
import { listen } from './listen.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);
const skip = hasIpv6 ? false : 'this machine has no IPv6 loopback';

async function statusAt(origin: string): Promise<number> {
  const { statusCode, body } = await request(`${origin}/health`);
  await body.dump();
  return statusCode;
}

test('security 1: loopback is 127.0.0.1 and ::1, on one port, and both end together', { skip }, async () => {
  for (const host of ['127.0.0.1', 'localhost']) {
    const { app } = scriptedRouter();
    const url = await listen(app, { host, port: 0 });
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const { port } = new URL(url);
    assert.deepEqual([await statusAt(url), await statusAt(`http://[::1]:${port}`)], [200, 200]);
    await app.close();
    await assert.rejects(statusAt(url));
    await assert.rejects(statusAt(`http://[::1]:${port}`));
  }
});

test('security 1: an address asked for by its number is the only one', { skip }, async () => {
  const { app } = scriptedRouter();
  const url = await listen(app, { host: '[::1]', port: 0 });
  assert.equal(await statusAt(url), 200);
  await assert.rejects(statusAt(url.replace('[::1]', '127.0.0.1')));
  await app.close();
});

test('security 1: another program on ::1 is not left there to receive our requests', { skip }, async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '::1', resolve));
  t.after(() => other.close());
  const address = other.address();
  assert.ok(address !== null && typeof address === 'object');
  const { app } = scriptedRouter();
  await assert.rejects(listen(app, { host: '127.0.0.1', port: address.port }), { code: 'EADDRINUSE' });
  await assert.rejects(statusAt(`http://127.0.0.1:${address.port}`));
});

test('a further port is answered on both addresses of loopback; one that is taken is told and ends nothing', async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const address = other.address();
  assert.ok(address !== null && typeof address === 'object');
  const { port } = address;
  const told: unknown[] = [];
  const further = { port, done: (error?: unknown) => void told.push(error) };

  const first = scriptedRouter();
  t.after(() => first.app.close());
  assert.equal(await statusAt(await listen(first.app, { host: '127.0.0.1', port: 0 }, further)), 200);
  const [refused] = told;
  assert.ok(refused instanceof Error && 'code' in refused && refused.code === 'EADDRINUSE');

  await new Promise((resolve) => other.close(resolve));
  const second = scriptedRouter();
  t.after(() => second.app.close());
  assert.equal(await statusAt(await listen(second.app, { host: '127.0.0.1', port: 0 }, further)), 200);
  assert.equal(told[1], undefined);
  assert.equal(await statusAt(`http://127.0.0.1:${port}`), 200);
  if (hasIpv6) assert.equal(await statusAt(`http://[::1]:${port}`), 200);
  await second.app.close();
  await assert.rejects(statusAt(`http://127.0.0.1:${port}`));
});
