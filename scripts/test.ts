/**
 * Runs the tests of one kind, or of all: `node scripts/test.ts [unit|integration|model|all] [name-part …]`.
 * unit: fast, alone, no weights. integration: sockets, child processes, browsers. model: real weights, one at a time.
 *
 * Integration files that fail beside others are run once more, alone: their bounds in time are the product's, and two
 * busy cores may not be. What fails twice has failed; what does not is named, so that nobody overlooks it.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Kind = 'unit' | 'integration' | 'model';

const [wanted = 'all', ...parts] = process.argv.slice(2);
const files = globSync('{packages,testing,bench,eval,examples,scripts}/**/*.test.ts', {
  exclude: (path) => path.includes('node_modules') || path.includes('dist'),
}).filter((file) => parts.every((part) => file.includes(part)));

const kindOf = (file: string): Kind =>
  file.endsWith('.model.test.ts') ? 'model' : file.endsWith('.integration.test.ts') ? 'integration' : 'unit';

/** Timings and memory of model tests suffer from company; sockets hardly do. */
const concurrency: Readonly<Record<Kind, number>> = { unit: 2, integration: 2, model: 1 };
const timeoutMs: Readonly<Record<Kind, number>> = { unit: 60_000, integration: 180_000, model: 600_000 };
/** For all files of a kind: many times what they take. A run that stands still ends, and says what was running. */
const deadlineMs: Readonly<Record<Kind, number>> = { unit: 300_000, integration: 1_500_000, model: 900_000 };
const folder = mkdtempSync(join(tmpdir(), 'lfo-tests-'));

/** The files that failed; a runner that fails without naming one has failed in all. One beyond its time ends it all. */
function run(kind: Kind, chosen: readonly string[], atOnce: number): readonly string[] {
  const list = join(folder, 'failed');
  const { status } = spawnSync(
    process.execPath,
    [
      '--import=./scripts/end-of-tests.ts',
      '--test',
      `--test-concurrency=${atOnce}`,
      `--test-timeout=${timeoutMs[kind]}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=./scripts/failed-files.ts',
      `--test-reporter-destination=${list}`,
      ...chosen,
    ],
    { stdio: 'inherit', timeout: deadlineMs[kind] },
  );
  if (status === null) throw new Error(`The ${kind} tests did not end within ${deadlineMs[kind] / 60_000} minutes.`);
  if (status === 0) return [];
  const named = readFileSync(list, 'utf8').split('\n').filter(Boolean);
  return named.length === 0 ? chosen : named;
}

let failed = false;
for (const kind of ['unit', 'integration', 'model'] as const) {
  if (wanted !== 'all' && wanted !== kind) continue;
  const chosen = files.filter((file) => kindOf(file) === kind).toSorted();
  if (chosen.length === 0) continue;
  process.stdout.write(`\n${kind}: ${chosen.length} files\n`);
  const first = run(kind, chosen, concurrency[kind]);
  if (first.length === 0) continue;
  if (kind !== 'integration') {
    failed = true;
    continue;
  }
  process.stdout.write(`\nonce more, alone:\n${first.map((file) => `  ${file}\n`).join('')}`);
  failed ||= run(kind, first, 1).length > 0;
}
rmSync(folder, { recursive: true, force: true });
process.exitCode = failed ? 1 : 0;
