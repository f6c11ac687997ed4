/**
 * Repeats the integration tests until one fails: `node scripts/repeat-integration.ts [--rounds 20] [name-part …]`. No
 * file is run once more after a failure. Says how many rounds held, and exits with 1 when one did not.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ options: { rounds: { type: 'string' } }, allowPositionals: true });
const most = values.rounds === undefined ? Infinity : Number(values.rounds);
if (!(most >= 1)) throw new Error(`--rounds ${values.rounds} is no number of rounds.`);

const args = [join(import.meta.dirname, 'test.ts'), 'integration', ...positionals];
const env = { ...process.env, LFO_TEST_RERUNS: '0' };
let held = 0;
let hasFailed = false;
while (held < most && !hasFailed) {
  const startMs = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env, cwd: join(import.meta.dirname, '..') });
  hasFailed = status !== 0;
  if (!hasFailed) held++;
  const minutes = ((performance.now() - startMs) / 60_000).toFixed(1);
  process.stdout.write(`\nround ${hasFailed ? held + 1 : held} ${hasFailed ? 'failed' : 'held'}, ${minutes} min\n`);
}
process.stdout.write(`${held} rounds held.\n`);
process.exitCode = hasFailed ? 1 : 0;
