/**
 * How long the dashboard's questions take on many rows: `node bench/dashboard-queries.ts [--rows 10000000]
 * [--store sqlite|postgresql|both] [--runs 20] [--json]`. Writes synthetic rows into a temporary folder (about 1 kB
 * each), ten a second up to now; then asks each question in turn. Times include the way to the worker or server.
 */
import { mkdtempSync, rmSync, statSync, statfsSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import type { RequestFilter, trendRanges } from '@lfo/router/src/core/history.ts';
import type { Store } from '@lfo/router/src/core/store.ts';
import { compactRollups } from '@lfo/router/src/records/compact-rollups.ts';
import { StoredHistory } from '@lfo/router/src/records/queries/stored-history.ts';
import { PostgresStore } from '@lfo/router/src/records/store/postgres-store.ts';
import { SqliteStore } from '@lfo/router/src/records/store/sqlite-store.ts';
import { startPostgres, withoutPostgres } from '@lfo/testing/postgres.ts';
import { Client } from 'pg';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    store: { type: 'string', default: 'both' },
    runs: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});
const rows = Number(options.rows);
const runs = Number(options.runs);
const perSecond = 10;
const endMs = Date.now();
const startMs = endMs - (rows / perSecond) * 1000;

/** What differs between the two: a uniform random number, a table of numbers, and hexadecimal text. */
interface Sql {
  readonly random: string;
  readonly numbers: (from: number, to: number) => string;
  readonly hex: (value: string, digits: number) => string;
}

const sqlite: Sql = {
  random: '(abs(random() % 1000000) / 1000000.0)',
  numbers: (from, to) =>
    `(with recursive g(n) as (select ${from} union all select n + 1 from g where n + 1 < ${to}) select n from g)`,
  hex: (value, digits) => `printf('%0${digits}x', ${value})`,
};
const postgresql: Sql = {
  random: 'random()',
  numbers: (from, to) => `(select n::bigint from generate_series(${from}, ${to - 1}) as n)`,
  hex: (value, digits) => `lpad(to_hex(${value}), ${digits}, '0')`,
};

const attempts = JSON.stringify([
  {
    tier: 'local',
    backend: 'embedded',
    model: 'qwen2.5-coder-0.5b',
    start_ms: 0.412,
    leased_ms: 0.533,
    first_event_ms: 211.25,
    end_ms: 903.125,
    outcome: 'escalated',
    reason: 'low_confidence',
    score: 0.5125,
    error_code: null,
    error_status: null,
    error_source: null,
    held_ms: 412.5,
    held_tokens: 48,
    prompt_tokens: 412,
    completion_tokens: 48,
  },
]);
const features = JSON.stringify({
  promptTokens: 412,
  promptTokensFrom: 'bound',
  tools: 4,
  images: 0,
  jsonSchema: false,
  stream: true,
  turns: 6,
  predictedFirstTokenMs: 812.5,
  localReady: true,
  cloudReady: true,
});
const signals = JSON.stringify({
  estimator: 'logprob+structure',
  meanLogprob: -0.2125,
  minLogprob: -3.25,
  tokens: 48,
  entropy: 0.4125,
  structure: 'ok',
  grounded: 0.875,
});

/** One step of random numbers a row, each column drawing its own where it is not derived. */
function insertRows(sql: Sql, from: number, to: number): string {
  const time = `cast(${Math.round(startMs)} + n * ${1000 / perSecond} as bigint)`;
  // Materialized, or SQLite would draw anew for each column that uses a number.
  return `insert into requests with numbered as materialized (
      select n, ${time} as t, ${sql.random} as r, ${sql.random} as r2 from ${sql.numbers(from, to)} as numbers
    ), drawn as (
      select n, t, r, r2, case when r < 0.65 or r > 0.9995 then 'local' when r < 0.97 then 'cloud' end as route from numbered
    ) select ${sql.hex('t / 65536', 8)} || '-' || ${sql.hex('t % 65536', 4)} || '-7' || ${sql.hex('n % 4096', 3)} || '-8' || ${sql.hex('n / 4096 % 4096', 3)} || '-' || ${sql.hex('cast(r * 200000000000 as bigint)', 12)},
      t, case when r < 0.5 then 'team-a' else 'team-b' end, 'auto', 1, case when route is null then 502 else 200 end,
      case when route is null then 'upstream_timeout' end, case when route is null then 'upstream' end,
      route, case route when 'local' then 'embedded' when 'cloud' then case when r < 0.9999999 then 'gemini' else 'openrouter' end end,
      case route when 'local' then 'qwen2.5-coder-0.5b' when 'cloud' then 'gemini-2.5-flash' end,
      case when r < 0.4 then 'confident' when r < 0.65 then 'local_first' when r < 0.8 then 'low_confidence' when r < 0.999999 then 'prompt_too_long' else 'images_unsupported' end,
      '["confident","local_first"]', '${attempts}', case when r > 0.999 and route = 'local' then 1 else 0 end,
      r, 0.7, '${features}', '${signals}', 412, 'bound', 412, 96, 0, 128, 0,
      case when route = 'cloud' then 0.000364 else 0 end, case when route = 'local' then 0.000364 end,
      case when route is not null then 'stop' end, null,
      exp(4 + r2 * 5), exp(3 + r2 * 4), exp(3 + r2 * 4), 0.25, case when r > 0.35 then 812.5 end, case when route = 'cloud' then 1204.25 end, 412.5, 0.75, '[]'
    from drawn`;
}

const chunk = 200_000;
const note = (text: string): void => void process.stderr.write(`${text}\n`);

/** Adds the rows without the work of the trigger, then the roll-ups as their migration does for rows it finds. */
async function fill(
  sql: Sql,
  execute: (statement: string) => Promise<void> | void,
  setUp: readonly string[],
  tearDown: readonly string[],
): Promise<void> {
  for (const statement of setUp) await execute(statement);
  for (let from = 0; from < rows; from += chunk) {
    await execute(insertRows(sql, from, Math.min(rows, from + chunk)));
    if (from % 1_000_000 === 0) note(`  ${from} rows`);
  }
  for (const statement of tearDown) await execute(statement);
}

interface Subject {
  readonly name: string;
  readonly store: Store;
  readonly bytes: () => Promise<number> | number;
  readonly close: () => Promise<void>;
}

async function sqliteSubject(): Promise<Subject> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-bench-'));
  const file = join(folder, 'lfo.db');
  const store = new SqliteStore(file);
  await store.db.selectFrom('requests').select('id').limit(1).execute();
  const db = new DatabaseSync(file);
  db.exec('pragma synchronous = off; pragma cache_size = -400000');
  const held = db
    .prepare(
      "select name, type, sql from sqlite_schema where tbl_name = 'requests' and sql is not null and type in ('index', 'trigger')",
    )
    .all();
  await fill(
    sqlite,
    (statement) => db.exec(statement),
    held.map(({ type, name }) => `drop ${String(type)} ${String(name)}`),
    [...rollUps(String(held.find(({ type }) => type === 'trigger')?.['sql'])), ...held.map(({ sql }) => String(sql))],
  );
  db.exec('pragma wal_checkpoint(truncate)');
  db.close();
  return {
    name: 'SQLite',
    store,
    bytes: () => statSync(file).size,
    async close() {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** The trigger's own statements, over all rows instead of the new one. */
function rollUps(trigger: string): readonly string[] {
  const body = trigger.slice(trigger.indexOf('begin') + 5, trigger.lastIndexOf('end'));
  return body
    .split(';')
    .map((statement) => statement.replace(/\(select new\.[^)]*\)/, 'requests').trim())
    .filter((statement) => statement !== '');
}

async function postgresSubject(): Promise<Subject> {
  const server = await startPostgres();
  const url = await server.database();
  const store = new PostgresStore(url);
  await store.db.selectFrom('requests').select('id').limit(1).execute();
  const client = new Client(url);
  await client.connect();
  const { rows: indexes } = await client.query<{ name: string; sql: string }>(
    "select indexname as name, indexdef as sql from pg_indexes where tablename = 'requests' and indexname <> 'requests_pkey'",
  );
  const { rows: functions } = await client.query<{ body: string }>(
    "select prosrc as body from pg_proc where proname = 'lfo_roll_up'",
  );
  const body =
    functions[0]?.body
      .replaceAll('from added', 'from requests')
      .replace(/^\s*begin/, '')
      .replace(/return null;\s*end\s*$/, '') ?? '';
  await fill(
    postgresql,
    async (statement) => void (await client.query(statement)),
    ['alter table requests disable trigger requests_roll_up', ...indexes.map(({ name }) => `drop index ${name}`)],
    [body, ...indexes.map(({ sql }) => sql), 'alter table requests enable trigger requests_roll_up', 'vacuum analyze'],
  );
  return {
    name: 'PostgreSQL',
    store,
    async bytes() {
      const { rows } = await client.query<{ size: string }>('select pg_database_size(current_database()) as size');
      return Number(rows[0]?.size);
    },
    async close() {
      await client.end();
      await store.close();
      await server.stop();
    },
  };
}

interface Measured {
  readonly question: string;
  readonly p50Ms: number;
  readonly p95Ms: number;
}

async function measure(question: string, ask: () => Promise<unknown>): Promise<Measured> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const from = performance.now();
    await ask();
    times.push(performance.now() - from);
  }
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { question, p50Ms: at(0.5), p95Ms: at(0.95) };
}

async function questions({ store }: Subject): Promise<readonly Measured[]> {
  const history = new StoredHistory(store, { nowMs: () => 0, wallMs: () => endMs, schedule: () => () => {} });
  const measured: Measured[] = [];
  for (const range of ['1h', '6h', '24h', '7d', '30d'] as const satisfies readonly (keyof typeof trendRanges)[]) {
    measured.push(await measure(`trends, ${range}`, () => history.trends(range)));
  }
  for (const range of ['1h', '30d'] as const)
    measured.push(await measure(`confidence, ${range}`, () => history.confidence(range)));
  const middle = await store.db
    .selectFrom('requests')
    .select('id')
    .where('time_ms', '>=', (startMs + endMs) / 2)
    .orderBy('time_ms')
    .limit(1)
    .executeTakeFirstOrThrow();
  const filters: readonly (readonly [string, RequestFilter])[] = [
    ['newest', {}],
    ['from the middle', { before: middle.id }],
    ['failed', { outcome: 'failed' }],
    ['degraded', { outcome: 'degraded' }],
    ['answered', { outcome: 'ok' }],
    ['by route', { route: 'cloud' }],
    ['by a rare backend', { backend: 'openrouter' }],
    ['by an unknown backend', { backend: 'none-of-these' }],
    ['by a common reason', { reason: 'low_confidence' }],
    ['by a reason that never was', { reason: 'context_too_small' }],
    ['by two that exclude each other', { route: 'cloud', backend: 'embedded' }],
    ['by two that seldom meet', { route: 'local', reason: 'prompt_too_long' }],
  ];
  for (const [name, filter] of filters)
    measured.push(await measure(`requests, ${name}`, () => history.page(filter, 50)));
  measured.push(await measure('one request', () => history.find(middle.id)));
  return measured;
}

const wanted = [
  ...(options.store === 'postgresql' ? [] : [sqliteSubject]),
  ...(options.store === 'sqlite' || withoutPostgres !== false ? [] : [postgresSubject]),
];
const free = statfsSync(tmpdir());
if (free.bavail * free.bsize < rows * 3_000) throw new Error('There is too little room in the temporary folder.');
const results = [];
for (const open of wanted) {
  const from = performance.now();
  const subject = await open();
  try {
    await compactRollups(subject.store, endMs);
    const bytes = await subject.bytes();
    note(
      `${subject.name}: ${rows} rows in ${Math.round((performance.now() - from) / 1000)} s, ${(bytes / rows).toFixed(0)} bytes a row`,
    );
    results.push({ store: subject.name, bytes, bytesPerRow: bytes / rows, questions: await questions(subject) });
  } finally {
    await subject.close();
  }
}
if (options.json)
  console.log(
    JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, rows, runs, results }),
  );
else {
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; ${rows} rows, ${runs} runs of each\n`,
  );
  for (const { store, questions, bytesPerRow } of results) {
    console.log(`${store}, ${bytesPerRow.toFixed(0)} bytes a row\n\n| question | p50 (ms) | p95 (ms) |\n|---|---|---|`);
    for (const { question, p50Ms, p95Ms } of questions)
      console.log(`| ${question} | ${p50Ms.toFixed(1)} | ${p95Ms.toFixed(1)} |`);
    console.log('');
  }
}
