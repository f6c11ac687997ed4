/**
 * `npm run check`: everything that is judged without running it. Two checks at a time, since most use one core; all are
 * run, whatever one of them finds. Each is a script of its own: `npm run check:types`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** The longest first. */
const checks = ['types', 'lint', 'dead', 'dashboard', 'format'];
/** Plants files in the tree that break its rules, for a moment: the others would see them. */
const alone = 'imports';

let hasFailed = false;
const waiting = checks.values();
await Promise.all([work(), work()]);
await check(alone);
process.exitCode = hasFailed ? 1 : 0;

async function work(): Promise<void> {
  for (const name of waiting) await check(name);
}

async function check(name: string): Promise<void> {
  const startMs = performance.now();
  const child = spawn('npm', ['run', '--silent', `check:${name}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const parts: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => void parts.push(part));
  await once(child, 'close');
  const isGood = child.exitCode === 0;
  if (!isGood) hasFailed = true;
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(
    `${isGood ? 'ok' : 'FAILED'}: ${name} (${seconds} s)\n${isGood ? '' : Buffer.concat(parts).toString()}`,
  );
}
