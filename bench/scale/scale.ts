/**
 * What several routers cost on one PostgreSQL: `node bench/scale/scale.ts [--parts cpu,stores,idle,rows] [--rounds 3]
 * [--requests 1000] [--seconds 5] [--idle 20] [--json]`
 *
 * `cpu`: CPU of a request with 1, 2 and 4 routers, as much load for each of them, in turns. `stores`: takes with their
 * settlement a second, and their times, of one hot key. `idle`: transactions a second and router, and CPU, of routers that
 * nobody asks. `rows`: what a request leaves in the database, and the connections of a router under load.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { nothing } from '@lfo/router/src/keys/limits/limit-store.ts';
import type { LimitAsk } from '@lfo/router/src/keys/limits/limit-store.ts';
import { MemoryLimits } from '@lfo/router/src/keys/limits/memory-limits.ts';
import { PostgresLimits } from '@lfo/router/src/keys/limits/postgres-limits.ts';
import { RedisLimits } from '@lfo/router/src/keys/limits/redis-limits.ts';
import { PostgresStore } from '@lfo/router/src/records/store/postgres-store.ts';
import { startPostgres, transactionsOf } from '@lfo/testing/postgres.ts';
import { startRedis, withoutRedis } from '@lfo/testing/redis.ts';
import { Client } from 'pg';
import { Pool } from 'undici';
import { median, quantile, table } from '../figures.ts';
import { cpuMsOf } from '../overhead/process-tree.ts';
import { listening, Stage } from '../overhead/systems.ts';

const { values: options } = parseArgs({
  options: {
    parts: { type: 'string', default: 'cpu,stores,idle,rows' },
    rounds: { type: 'string', default: '3' },
    requests: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '5' },
    idle: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});
const parts = new Set(options.parts.split(','));
const main = fileURLToPath(new URL('../../packages/router/src/main.ts', import.meta.url));
const key = 'the-key-of-the-bench-of-several-routers';
const sizes = [1, 2, 4] as const;
/** For each router. */
const atOnce = 16;
const warmed = 2_500;
const clients = 64;

interface Router {
  readonly origin: string;
  readonly pid: number;
}

const postgres = await startPostgres();
const result: Record<string, unknown> = {
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, load: loadavg()[0]?.toFixed(2) },
};
try {
  if (parts.has('cpu')) result['cpu'] = await cpuOfRequests();
  if (parts.has('stores')) result['stores'] = await takes();
  if (parts.has('idle')) result['idle'] = await idleCosts();
  if (parts.has('rows')) result['rows'] = await costOfRows();
  print(result);
} finally {
  await postgres.stop();
}

/** Routers on one database, until the stage ends. */
async function startRouters(
  stage: Stage,
  upstream: string,
  count: number,
  databaseUrl: string,
): Promise<readonly Router[]> {
  const routers: Router[] = [];
  for (let index = 0; index < count; index++) {
    const folder = mkdtempSync(join(stage.folder, 'router-'));
    mkdirSync(join(folder, 'data'));
    writeFileSync(
      join(folder, 'lfo.yaml'),
      `backends:\n  - { name: near, kind: openai-compatible, tier: local, base_url: "${upstream}/v1", models: [bench], concurrency: 1000 }\n`,
    );
    const env = {
      PORT: '0',
      DATABASE_URL: databaseUrl,
      LFO_AUTH_TOKEN: key,
      LFO_ROUTER_NAME: `r${index}`,
      LFO_LOCAL_MODEL: 'none',
      LFO_DATA_DIR: join(folder, 'data'),
      LFO_CONFIG: join(folder, 'lfo.yaml'),
      LFO_FLEET_LISTEN: 'off',
    };
    const find = (line: string): string | undefined => /"url":"(http:[^"]+)"/.exec(line)?.[1];
    const router = await stage.run(process.execPath, [main, 'serve'], find, env);
    await listening(router.origin);
    routers.push(router);
  }
  return routers;
}

/** As much for each of 1, 2 and 4 routers, in turns: ratios within a round. */
async function cpuOfRequests(): Promise<object> {
  const stage = new Stage();
  try {
    const origin = await stage.upstream();
    const fleets = new Map<number, readonly Router[]>();
    for (const size of sizes) fleets.set(size, await startRouters(stage, origin, size, await postgres.database()));
    // A third of the first 2,000 requests of a process is V8 compiling.
    for (const [size, routers] of fleets) await loaded(routers, warmed * size);
    const samples = new Map<number, number[]>(sizes.map((size) => [size, []]));
    for (let round = 0; round < Number(options.rounds); round++) {
      const turns = round % 2 === 0 ? sizes : sizes.toReversed();
      for (const size of turns)
        samples.get(size)?.push(await loaded(fleets.get(size) ?? [], Number(options.requests) * size));
    }
    const ones = samples.get(1) ?? [];
    return sizes.map((size) => ({
      routers: size,
      'CPU µs a request': Math.round(median(samples.get(size) ?? [])),
      '× one router': round2(
        median((samples.get(size) ?? []).map((each, index) => each / (ones[index] ?? Number.NaN))),
      ),
    }));
  } finally {
    await stage.end();
  }
}

/** Microseconds of CPU of all routers, a request. */
async function loaded(routers: readonly Router[], requests: number): Promise<number> {
  const pools = routers.map(({ origin }) => new Pool(origin, { connections: atOnce, pipelining: 1 }));
  const body = JSON.stringify({ model: 'lfo-local', messages: [{ role: 'user', content: 'x'.repeat(800) }] });
  const cpu = (): number => routers.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0);
  const before = cpu();
  let left = requests;
  const worker = async (index: number): Promise<void> => {
    const pool = pools[index % pools.length];
    while (left-- > 0) {
      const answer = await pool?.request({
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body,
      });
      const text = await answer?.body.text();
      if (answer?.statusCode !== 200) throw new Error(`status ${answer?.statusCode}: ${text}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce * routers.length }, (_each, index) => worker(index)));
  // Rows are written a moment later, and are part of it.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const cpuUs = ((cpu() - before) / requests) * 1000;
  await Promise.all(pools.map((pool) => pool.close()));
  return cpuUs;
}

interface Counter {
  take(): Promise<() => Promise<void>>;
}

/** One hot key, 64 clients over three routers' stores. */
async function takes(): Promise<object> {
  const ask: LimitAsk = {
    keyId: 'hot',
    limits: { requestsPerDay: 1e9, usdPerDay: 1e9 },
    tokens: 10,
    usd: 0.001,
    mode: 'cloud',
  };
  const reserved = { tokens: 10, usd: 0.001 };
  const known = { minute: undefined, unwritten: nothing };
  const rows: object[] = [];
  const ledger = { today: () => nothing, used: () => undefined, unwritten: () => nothing };
  const memory = new MemoryLimits(systemClock, ledger);
  rows.push(
    await measured('memory', [
      {
        async take() {
          const answer = memory.take(ask);
          if (answer.type !== 'granted') throw new Error(answer.type);
          return async () => answer.settle(reserved);
        },
      },
    ]),
  );
  const url = await postgres.database();
  const stores = Array.from({ length: 3 }, () => new PostgresStore(url, { connections: 2 }));
  for (const store of stores) await store.query('select 1', []);
  const counters = stores.map((store, index) => new PostgresLimits(store, `r${index}`));
  const over = (limits: PostgresLimits | RedisLimits): Counter => ({
    async take() {
      const { isGranted } = await limits.take(ask, known);
      if (!isGranted) throw new Error('refused');
      return () => limits.settle('hot', reserved, reserved);
    },
  });
  rows.push(await measured('PostgreSQL', counters.map(over)));
  await Promise.all(stores.map((store) => store.close()));
  if (withoutRedis === false) {
    const redis = await startRedis();
    const limits = Array.from(
      { length: 3 },
      (_each, index) => new RedisLimits({ url: redis.url, router: `r${index}`, today: async () => nothing }),
    );
    rows.push(await measured('Redis', limits.map(over)));
    await Promise.all(limits.map((each) => each.close()));
    await redis.stop();
  }
  return rows;
}

async function measured(store: string, counters: readonly Counter[]): Promise<object> {
  const times: number[] = [];
  const run = async (ms: number, keep: boolean): Promise<number> => {
    const untilMs = performance.now() + ms;
    let count = 0;
    const client = async (index: number): Promise<void> => {
      const counter = counters[index % counters.length];
      while (performance.now() < untilMs) {
        const from = performance.now();
        const settle = await counter?.take();
        if (keep) times.push(performance.now() - from);
        await settle?.();
        count++;
        // Memory answers without a turn of the event loop.
        if (count % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all(Array.from({ length: clients }, (_each, index) => client(index)));
    return count;
  };
  await run(1_000, false);
  const seconds = Number(options.seconds);
  const count = await run(seconds * 1_000, true);
  const ms = (share: number): number => round2(quantile(times, share));
  return { store, 'takes a second': Math.round(count / seconds), 'p50 ms': ms(0.5), 'p99 ms': ms(0.99) };
}

/** What routers do while nobody asks: transactions in the database, and CPU. */
async function idleCosts(): Promise<object> {
  const rows: object[] = [];
  for (const size of sizes) {
    const stage = new Stage();
    try {
      const url = await postgres.database();
      const routers = await startRouters(stage, 'http://127.0.0.1:9', size, url);
      const client = new Client(url);
      await client.connect();
      // Start-up has work of its own, and what was counted is told a second later.
      await new Promise((resolve) => setTimeout(resolve, 12_000));
      const cpu = (): number => routers.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0);
      const [before, cpuBefore, from] = [await transactionsOf(client), cpu(), performance.now()];
      await new Promise((resolve) => setTimeout(resolve, Number(options.idle) * 1_000));
      const [after, cpuAfter, seconds] = [await transactionsOf(client), cpu(), (performance.now() - from) / 1_000];
      await client.end();
      rows.push({
        routers: size,
        'transactions a second and router': round2((after - before - 1) / seconds / size),
        'CPU ms a second and router': round2((cpuAfter - cpuBefore) / seconds / size),
      });
    } finally {
      await stage.end();
    }
  }
  return rows;
}

/** What one router leaves in its database, after a start that fills the first pages. */
async function costOfRows(): Promise<object> {
  const stage = new Stage();
  try {
    const url = await postgres.database();
    const routers = await startRouters(stage, await stage.upstream(), 1, url);
    const client = new Client(url);
    await client.connect();
    const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1_500));
    const look = async (): Promise<Stored> => {
      await settled();
      const { rows } = await client.query<Stored>(
        `select (select count(*) from requests)::int as rows, pg_total_relation_size('requests')::int as requests,
           pg_database_size(current_database())::int as database`,
      );
      return rows[0] ?? { rows: Number.NaN, requests: Number.NaN, database: Number.NaN };
    };
    await loaded(routers, warmed);
    const before = await look();
    let connections = 0;
    const watching = setInterval(() => {
      void client
        .query<{ count: number }>("select count(*)::int from pg_stat_activity where application_name like 'lfo%'")
        .then(({ rows }) => (connections = Math.max(connections, rows[0]?.count ?? 0)));
    }, 100);
    await loaded(routers, 4 * warmed);
    clearInterval(watching);
    const after = await look();
    await client.end();
    const count = after.rows - before.rows;
    return [
      {
        rows: count,
        'bytes a row, indexes included': Math.round((after.requests - before.requests) / count),
        'bytes a row, all tables': Math.round((after.database - before.database) / count),
        'connections at most': connections,
      },
    ];
  } finally {
    await stage.end();
  }
}

interface Stored {
  readonly rows: number;
  readonly requests: number;
  readonly database: number;
}

function print(found: Readonly<Record<string, unknown>>): void {
  if (options.json) return console.log(JSON.stringify(found));
  for (const [part, rows] of Object.entries(found)) {
    if (!Array.isArray(rows)) {
      console.log(`${part}: ${JSON.stringify(rows)}`);
      continue;
    }
    console.log(`\n${part}`);
    table(rows);
  }
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
