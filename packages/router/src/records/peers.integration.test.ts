import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { until } from '@lfo/testing/faults/keyed-process.ts';
import { assertWithin } from '@lfo/testing/figure.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { pino } from 'pino';
import { systemClock } from '../core/clock.ts';
import { KeyTable } from '../keys/key-table.ts';
import { takesLease } from './leases.ts';
import { Peers } from './peers.ts';
import { PostgresListener } from './store/postgres-listener.ts';
import { PostgresStore } from './store/postgres-store.ts';

const server = postgresOfFile();
const skip = withoutPostgres;

async function router(
  t: TestContext,
  url: string,
  id: string,
  { name = 'edge', config = 'c', listens = true, log = pino({ level: 'silent' }), isAway = (): boolean => false } = {},
) {
  const store = new PostgresStore(url, { connections: 2 });
  const listener = new PostgresListener(url, store, systemClock);
  const peers = new Peers({
    store: {
      query: (...asked) => (isAway() ? Promise.reject(new Error('away')) : store.query(...asked)),
    },
    listener,
    clock: systemClock,
    log,
    id,
    name,
    version: '1',
    config: () => config,
    look: () => ({ state: 'ready', inFlight: 2, waiting: 1 }),
  });
  await peers.start();
  if (listens) listener.start();
  const end = async (): Promise<void> => {
    await peers.close();
    await store.close();
  };
  t.after(end);
  return { peers, store, listener, end };
}

test('routers know each other, each by a name of its own, and miss who has gone', { skip }, async (t) => {
  const url = await server().database();
  const all = await Promise.all(['a', 'b', 'c'].map((id) => router(t, url, id)));
  const names = all.map(({ peers }) => peers.name).toSorted();
  assert.deepEqual(names, ['edge', 'edge-2', 'edge-3']);
  const [first, , third] = all;
  await until('three are known', async () => first?.peers.count === 3);
  // A name is claimed first.
  await until(
    'they have told of themselves',
    async () => first?.peers.list().every(({ waiting }) => waiting === 1) ?? false,
  );
  const seen = first?.peers.list() ?? [];
  assert.deepEqual(
    seen.map(({ name }) => name),
    names,
  );
  assert.deepEqual([seen[0]?.inFlight, seen[0]?.waiting, seen[0]?.state], [2, 1, 'ready']);
  await third?.end();
  await until('two are known', async () => first?.peers.count === 2);
});

for (const listens of [true, false]) {
  const how = listens ? 'told by the database' : 'asked for twice a second';
  test(`a key made at one router is news at the other within a second, ${how}`, { skip }, async (t) => {
    const url = await server().database();
    const [one, other] = [await router(t, url, 'a', { listens }), await router(t, url, 'b', { listens })];
    if (listens) await until('it listens', async () => other.listener.isListening);
    let news = 0;
    other.peers.follow('keys', () => news++);
    const startMs = performance.now();
    await new KeyTable(one.store).create({ name: 'app', scopes: ['chat'], limits: {} }, 1);
    await until('there is news', async () => news > 0);
    assertWithin(t, `news of a key, ${how}`, performance.now() - startMs, 1_000);
  });
}

for (const listens of [true, false]) {
  const how = listens ? 'told by the database' : 'asked for twice a second';
  test(`a router that starts is counted by the others before their next beat, ${how}`, { skip }, async (t) => {
    const url = await server().database();
    const first = await router(t, url, 'a', { listens });
    assert.equal(first.peers.count, 1);
    if (listens) await until('it listens', async () => first.listener.isListening);
    // Just after a beat the next one is two seconds away.
    await first.peers.beat();
    const startMs = performance.now();
    await router(t, url, 'b', { listens });
    const third = await router(t, url, 'c', { listens });
    assert.equal(third.peers.count, 3);
    await until('it is counted', async () => first.peers.count === 3);
    assertWithin(t, `a new router is counted, ${how}`, performance.now() - startMs, 1_000);
    await third.end();
    await until('it is missed', async () => first.peers.count === 2);
    assert.equal(first.peers.mostOfLate, 3, 'shares are cut for those that are about to come back');
  });
}

test('a router that could not claim its name at its start does when the database is back', { skip }, async (t) => {
  const url = await server().database();
  const first = await router(t, url, 'a');
  let away = true;
  const second = await router(t, url, 'b', { isAway: () => away });
  assert.equal(second.peers.name, 'edge', 'as far as it knows');
  away = false;
  await until('both are known', async () => first.peers.count === 2);
  assert.equal(second.peers.name, 'edge-2');
  assert.deepEqual(
    second.peers.list().map(({ name }) => name),
    ['edge', 'edge-2'],
  );
});

test('a router that has never heard of the others knows no number of them', { skip }, async (t) => {
  const away = await router(t, 'postgres://nobody@127.0.0.1:1/none', 'a', { listens: false });
  assert.equal(away.peers.mostOfLate, undefined);
});

test('a task is one router’s at a time', { skip }, async (t) => {
  const url = await server().database();
  const { store } = await router(t, url, 'a');
  const taken = await Promise.all(['a', 'b', 'c'].map((id) => takesLease(store, 'upkeep', id)));
  assert.equal(taken.filter(Boolean).length, 1);
  assert.equal(await takesLease(store, 'other', 'b'), true);
  await store.query('update leases set until_ms = 0', []);
  assert.equal(await takesLease(store, 'upkeep', 'z'), true);
});

test('ten starts of three routers on an empty database make one schema, without an error', { skip }, async (t) => {
  for (let start = 0; start < 10; start++) {
    const url = await server().database();
    const stores = Array.from({ length: 3 }, () => new PostgresStore(url));
    t.after(() => Promise.all(stores.map((store) => store.close())));
    await Promise.all(stores.map((store) => store.query('select count(*) from requests', [])));
  }
  assert.deepEqual(server().errors(), []);
});

test(
  'a router that has only claimed its name is not said to be configured differently; another is',
  { skip },
  async (t) => {
    const url = await server().database();
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const { store, peers } = await router(t, url, 'a', { log });
    await store.query('select lfo_claim_name($1, $2, $3)', ['b', 'edge', 6_000]);
    await peers.beat();
    assert.equal(peers.count, 2);
    assert.deepEqual(lines, []);
    await router(t, url, 'b', { config: 'other' });
    await peers.beat();
    assert.match(
      lines.join(''),
      /"routers":\["edge-2"\],"msg":"Other routers on this database are configured differently/,
    );
  },
);
