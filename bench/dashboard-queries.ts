/**
 * How long the dashboard's and the command line's questions take on many rows, and how long they hold the event loop:
 * `node bench/dashboard-queries.ts [--rows 10000000] [--store sqlite|postgresql|both] [--runs 20] [--json]
 * [--sqlite <file>] [--postgresql <address>]`.
 *
 * Writes synthetic rows, ten a second up to now, into a temporary folder, or into the databases named, which are kept
 * and, once filled, asked again without that.
 */
import { statfsSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { withoutPostgres } from '@lfo/testing/postgres.ts';
import { filledPostgres, filledSqlite } from './dashboard/databases.ts';
import { measure, type Measured, questionsTo } from './dashboard/questions.ts';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    store: { type: 'string', default: 'both' },
    runs: { type: 'string', default: '20' },
    sqlite: { type: 'string' },
    postgresql: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const rows = Number(options.rows);
const runs = Number(options.runs);

const wanted = [
  ...(options.store === 'postgresql' ? [] : [() => filledSqlite(rows, options.sqlite)]),
  ...(options.store === 'sqlite' || (withoutPostgres !== false && options.postgresql === undefined)
    ? []
    : [() => filledPostgres(rows, options.postgresql)]),
];
const free = statfsSync(tmpdir());
const isKept = options.sqlite !== undefined || options.postgresql !== undefined;
if (!isKept && free.bavail * free.bsize < rows * 3_000)
  throw new Error('There is too little room in the temporary folder.');

const results = [];
for (const open of wanted) {
  const database = await open();
  try {
    const questions: Measured[] = [];
    for (const question of await questionsTo(database)) questions.push(await measure(question, runs));
    const { name, bytes } = database;
    results.push({ store: name, rows: database.rows, bytes, bytesPerRow: bytes / database.rows, questions });
  } finally {
    await database.close();
  }
}

if (options.json)
  console.log(JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, runs, results }));
else {
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; ${runs} runs of each\n`);
  for (const { store, rows: found, questions, bytesPerRow } of results) {
    console.log(`${store}, ${found} rows, ${bytesPerRow.toFixed(0)} bytes a row\n`);
    console.log('| question | p50 (ms) | p95 (ms) | longest turn (ms) |\n|---|---|---|---|');
    for (const { question, p50Ms, p95Ms, turnMs } of questions)
      console.log(`| ${question} | ${p50Ms.toFixed(1)} | ${p95Ms.toFixed(1)} | ${turnMs.toFixed(1)} |`);
    console.log('');
  }
}
