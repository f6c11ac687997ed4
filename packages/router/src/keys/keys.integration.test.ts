import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { SqliteStore } from '../records/store/sqlite-store.ts';
import { KeyCopy } from './key-copy.ts';
import { KeyTable, type KeyOrder } from './key-table.ts';
import { isInForce } from './managed-key.ts';
import { KeyWatch } from './key-watch.ts';
import { StoredUsageLedger } from './usage-ledger.ts';

const day = 86_400_000;
const order: KeyOrder = { name: 'ci', scopes: ['chat'], limits: { requestsPerMinute: 10 } };

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-keys-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function storeIn(t: TestContext, folder: string): SqliteStore {
  const store = new SqliteStore(join(folder, 'lfo.db'));
  t.after(() => store.close());
  return store;
}

function watchOver(
  t: TestContext,
  table: Pick<KeyTable, 'list' | 'stamp'>,
  folder: string,
  clock = new FakeClock(),
  isNew = false,
) {
  const health: boolean[] = [];
  const copy = new KeyCopy(join(folder, 'keys.json'));
  const watch = new KeyWatch({ table, copy, clock, isNew, onHealth: (isReadable) => health.push(isReadable) });
  t.after(() => watch.stop());
  return { watch, clock, health };
}

/** Until what the database worker was asked is answered: it runs on no fake clock. */
async function until(isSo: () => boolean, tick: () => void): Promise<void> {
  for (let turn = 0; turn < 1_000 && !isSo(); turn += 1) {
    tick();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.ok(isSo(), 'it became so');
}

test('a key comes back as it was ordered, and the database holds nothing that opens anything', async (t) => {
  const folder = folderOf(t);
  const store = storeIn(t, folder);
  const table = new KeyTable(store);
  const full: KeyOrder = {
    name: 'team',
    scopes: ['chat', 'admin'],
    tiers: ['local'],
    models: ['small', 'a/b'],
    limits: { tokensPerDay: 5, usdPerDay: 0.25, concurrency: 2 },
    expiresMs: 5_000,
  };
  const { text, key } = await table.create(full, 1_000.4);
  assert.match(text, /^lfo_[0-9a-f]{12}_[0-9a-f]{40}$/);
  assert.deepEqual(await table.list(), [key]);
  assert.equal(key.createdMs, 1_000);
  await store.close();
  for (const file of ['lfo.db', 'lfo.db-wal']) {
    const path = join(folder, file);
    if (existsSync(path)) assert.equal(readFileSync(path, 'latin1').includes(text.slice(-40)), false, file);
  }
});

test('revoking goes by id and by name, once, and forgetting deletes the revoked alone', async (t) => {
  const table = new KeyTable(storeIn(t, folderOf(t)));
  const first = await table.create(order, 1);
  const second = await table.create(order, 2);
  const other = await table.create({ ...order, name: 'other' }, 3);
  assert.deepEqual(await table.revoke(first.key.id, 10), [first.key.id]);
  assert.deepEqual(await table.revoke('ci', 11), [second.key.id]);
  assert.deepEqual(await table.revoke('ci', 12), []);
  assert.equal(await table.forgetRevoked(), 2);
  assert.deepEqual(
    (await table.list()).map(({ id }) => id),
    [other.key.id],
  );
});

test('the stamp changes with every change', async (t) => {
  const table = new KeyTable(storeIn(t, folderOf(t)));
  const stamps = [await table.stamp()];
  const { key } = await table.create(order, 1);
  stamps.push(await table.stamp());
  await table.revoke(key.id, 2);
  stamps.push(await table.stamp());
  await table.forgetRevoked();
  await table.create(order, 3);
  stamps.push(await table.stamp());
  assert.equal(new Set(stamps).size, stamps.length, stamps.join(' '));
});

test('what another process does to the keys is seen, and a copy is kept beside the database', async (t) => {
  const folder = folderOf(t);
  const { watch, clock } = watchOver(t, new KeyTable(storeIn(t, folder)), folder);
  await watch.start();
  assert.equal(watch.isNeeded, false);
  const elsewhere = new KeyTable(storeIn(t, folder));
  const { key } = await elsewhere.create(order, 1);
  await until(
    () => watch.find(key.id) !== undefined,
    () => clock.advance(250),
  );
  assert.equal(watch.isNeeded, true);
  await elsewhere.revoke(key.id, 2);
  await until(
    () => watch.find(key.id)?.revokedMs === 2,
    () => clock.advance(250),
  );
  const copy = join(folder, 'keys.json');
  await until(
    () => existsSync(copy),
    () => undefined,
  );
  assert.equal(statSync(copy).mode & 0o777, 0o600);
});

test('while the database fails known keys are good for an hour, and nobody comes in without one', async (t) => {
  const folder = folderOf(t);
  const { key } = await new KeyTable(storeIn(t, folder)).create(order, 1);
  let isBroken = false;
  const table = new KeyTable(storeIn(t, folder));
  const fragile = {
    list: () => table.list(),
    stamp: () => (isBroken ? Promise.reject(new Error('gone')) : table.stamp()),
  };
  const { watch, clock, health } = watchOver(t, fragile, folder);
  await watch.start();
  isBroken = true;
  clock.jumpWall(7_200_000);
  await clock.advanceAsync(3_599_000);
  assert.equal(watch.find(key.id)?.id, key.id);
  await clock.advanceAsync(2_000);
  assert.equal(watch.find(key.id), undefined);
  assert.equal(watch.isNeeded, true);
  isBroken = false;
  await until(
    () => watch.find(key.id) !== undefined,
    () => clock.advance(250),
  );
  assert.deepEqual(health, [false, true]);
});

test('a router that starts without its database knows the keys from the copy', async (t) => {
  const folder = folderOf(t);
  const { key } = await new KeyTable(storeIn(t, folder)).create(order, 1);
  const before = watchOver(t, new KeyTable(storeIn(t, folder)), folder);
  await before.watch.start();
  before.watch.stop();
  const broken = { list: () => Promise.reject(new Error('gone')), stamp: () => Promise.reject(new Error('gone')) };
  const { watch } = watchOver(t, broken, folder, before.clock);
  assert.equal(watch.find(key.id)?.name, 'ci');
  await watch.start();
  assert.equal(watch.isNeeded, true);
});

test('a row that is no key opens nothing and keeps no other from its holder, and the router closed', async (t) => {
  const folder = folderOf(t);
  const store = storeIn(t, folder);
  const table = new KeyTable(store);
  const bad = (await table.create({ ...order, name: 'bad' }, 1)).key;
  const good = (await table.create(order, 2)).key;
  await store.db.updateTable('keys').set({ scopes: '["root"]' }).where('id', '=', bad.id).execute();
  const unreadable: string[] = [];
  const copy = new KeyCopy(join(folder, 'keys.json'));
  const clock = new FakeClock();
  const watch = new KeyWatch({ table, copy, clock, onUnreadable: (id) => unreadable.push(id) });
  t.after(() => watch.stop());
  await watch.start();
  assert.deepEqual(watch.find(good.id), good);
  const found = watch.find(bad.id);
  assert.ok(found === undefined || !isInForce(found, clock.wallMs()));
  await table.revoke(good.id, 3);
  await table.forgetRevoked();
  await watch.look();
  assert.equal(watch.find(good.id), undefined);
  assert.equal(watch.isNeeded, true, 'there is a key, whatever became of it');
  assert.equal(new KeyWatch({ table, copy, clock }).isNeeded, true, 'the copy says so too');
  assert.deepEqual(unreadable, [bad.id], 'told once');
  assert.deepEqual(await table.change(bad.id, { expiresMs: null }), []);
  await table.revoke(bad.id, 4);
  assert.equal(await table.forgetRevoked(), 1);
  assert.deepEqual(await table.list(), []);
});

test('a database that was never read keeps the router closed, unless it does not exist yet', async (t) => {
  const broken = { list: () => Promise.reject(new Error('gone')), stamp: () => Promise.reject(new Error('gone')) };
  const { watch } = watchOver(t, broken, folderOf(t));
  await watch.start();
  assert.equal(watch.isNeeded, true);
  const fresh = watchOver(t, broken, folderOf(t), undefined, true);
  await fresh.watch.start();
  assert.equal(fresh.watch.isNeeded, false);
});

test('several processes may write the copy at once, and leave nothing beside it', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'keys.json');
  const { key } = await new KeyTable(storeIn(t, folder)).create(order, 1);
  const copies = Array.from({ length: 20 }, () => new KeyCopy(file));
  await Promise.all(copies.map((copy, readMs) => copy.write({ readMs, keys: [key] })));
  assert.equal(copies[0]?.read()?.keys[0]?.id, key.id);
  rmSync(file);
  mkdirSync(file);
  await assert.rejects(new KeyCopy(file).write({ readMs: 1, keys: [key] }));
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('keys.json')),
    ['keys.json'],
  );
});

test('the day of a key survives a restart and is shared by routers; the next day begins at nothing', async (t) => {
  const folder = folderOf(t);
  const clock = new FakeClock(0, 20_000 * day + 1_000);
  const first = new StoredUsageLedger(storeIn(t, folder), clock);
  await first.start();
  first.add('k', { requests: 1, tokens: 30, usd: 0.5 });
  first.add('k', { requests: 1, tokens: 12, usd: 0 });
  assert.deepEqual(first.today('k'), { requests: 2, tokens: 42, usd: 0.5 });
  await first.close();
  assert.deepEqual(first.today('k'), { requests: 2, tokens: 42, usd: 0.5 });

  const second = new StoredUsageLedger(storeIn(t, folder), clock);
  const third = new StoredUsageLedger(storeIn(t, folder), clock);
  await Promise.all([second.start(), third.start()]);
  assert.deepEqual(second.today('k'), { requests: 2, tokens: 42, usd: 0.5 });
  second.add('k', { requests: 1, tokens: 0, usd: 0 });
  third.add('k', { requests: 1, tokens: 8, usd: 0 });
  await second.flush();
  await third.flush();
  await second.flush();
  assert.deepEqual(second.today('k'), { requests: 4, tokens: 50, usd: 0.5 });
  assert.deepEqual(third.today('k'), { requests: 4, tokens: 50, usd: 0.5 });
  clock.jumpWall(day);
  assert.deepEqual(second.today('k'), { requests: 0, tokens: 0, usd: 0 });
  await Promise.all([second.close(), third.close()]);
});

test('a router hears of what another wrote in the same second as itself, without a request of its own since', async (t) => {
  const folder = folderOf(t);
  const clock = new FakeClock();
  const [one, other] = [
    new StoredUsageLedger(storeIn(t, folder), clock),
    new StoredUsageLedger(storeIn(t, folder), clock),
  ];
  await one.start();
  one.add('k', { requests: 1, tokens: 0, usd: 0 });
  await one.flush();
  one.add('k', { requests: 1, tokens: 0, usd: 0 });
  clock.advance(1_000);
  await until(
    () => one.unwritten('k').requests === 0,
    () => undefined,
  );
  await other.start();
  other.add('k', { requests: 8, tokens: 0, usd: 0 });
  await other.flush();
  await until(
    () => one.today('k').requests === 10,
    () => clock.advance(250),
  );
  await Promise.all([one.close(), other.close()]);
});

test('fault 63: what was used before midnight is written to its own day', async (t) => {
  const store = storeIn(t, folderOf(t));
  const clock = new FakeClock(0, 20_000 * day + day - 500);
  const ledger = new StoredUsageLedger(store, clock);
  await ledger.start();
  ledger.add('k', { requests: 1, tokens: 10, usd: 0.5 });
  clock.jumpWall(1_000);
  assert.deepEqual(ledger.today('k'), { requests: 0, tokens: 0, usd: 0 });
  ledger.add('k', { requests: 2, tokens: 20, usd: 0.25 });
  await ledger.flush();
  const rows = await store.db.selectFrom('key_usage').selectAll().orderBy('day').execute();
  assert.deepEqual(rows, [
    { key_id: 'k', day: 20_000, requests: 1, tokens: 10, usd: 0.5 },
    { key_id: 'k', day: 20_001, requests: 2, tokens: 20, usd: 0.25 },
  ]);
  await ledger.close();
});

test('usage that cannot be written is kept and written later', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'lfo.db');
  mkdirSync(file);
  const clock = new FakeClock();
  const ledger = new StoredUsageLedger(storeIn(t, folder), clock);
  await ledger.start();
  ledger.add('k', { requests: 1, tokens: 2, usd: 3 });
  await ledger.flush();
  assert.deepEqual(ledger.today('k'), { requests: 1, tokens: 2, usd: 3 });
  rmSync(file, { recursive: true });
  await ledger.flush();
  await ledger.close();
  const rows = await storeIn(t, folder).db.selectFrom('key_usage').selectAll().execute();
  assert.deepEqual(
    rows.map(({ key_id, requests, tokens, usd }) => [key_id, requests, tokens, usd]),
    [['k', 1, 2, 3]],
  );
});
