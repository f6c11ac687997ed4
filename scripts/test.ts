/**
 * Runs the tests of one kind, or of all: `node scripts/test.ts [unit|integration|model|all] [name-part …]`.
 * unit: fast, alone, no weights. integration: sockets, child processes, browsers. model: real weights, one at a time.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';

type Kind = 'unit' | 'integration' | 'model';

const [wanted = 'all', ...parts] = process.argv.slice(2);
const files = globSync('{packages,testing,bench,eval,examples,scripts}/**/*.test.ts', {
  exclude: (path) => path.includes('node_modules') || path.includes('dist'),
}).filter((file) => parts.every((part) => file.includes(part)));

const kindOf = (file: string): Kind =>
  file.endsWith('.model.test.ts') ? 'model' : file.endsWith('.integration.test.ts') ? 'integration' : 'unit';

/** Timings and memory of model tests suffer from company; sockets do not. */
const concurrency: Readonly<Record<Kind, number>> = { unit: 2, integration: 2, model: 1 };
const timeoutMs: Readonly<Record<Kind, number>> = { unit: 60_000, integration: 180_000, model: 600_000 };

let failed = false;
for (const kind of ['unit', 'integration', 'model'] as const) {
  if (wanted !== 'all' && wanted !== kind) continue;
  const chosen = files.filter((file) => kindOf(file) === kind).toSorted();
  if (chosen.length === 0) continue;
  const args = ['--test', `--test-concurrency=${concurrency[kind]}`, `--test-timeout=${timeoutMs[kind]}`];
  if (!process.stdout.isTTY) args.push('--test-reporter=spec');
  process.stdout.write(`\n${kind}: ${chosen.length} files\n`);
  const { status } = spawnSync(process.execPath, [...args, ...chosen], { stdio: 'inherit' });
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
