/** Runs test files as `node --test` does: each in a process of its own, or many in a few. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { setTimeout as delay } from 'node:timers/promises';

import { FindingReader, type TestFinding } from './test-record.ts';
import { needsOwnProcess } from './test-verdict.ts';

export interface RunLimits {
  /** For what shared processes leave on record. */
  readonly folder: string;
  /** Processes at once. */
  readonly atOnce: number;
  /** For one test. */
  readonly timeoutMs: number;
  /** For all: what stands still ends, and says what was running. */
  readonly deadlineMs: number;
}

export interface FilesRun {
  /** Relative paths; what did not come to its end has failed. */
  readonly failed: readonly string[];
  readonly findings: readonly TestFinding[];
}

/** What a process that several files share left behind. */
interface Shared {
  /** `null`: it was ended. */
  readonly status: number | null;
  readonly findings: readonly TestFinding[];
  readonly output: string;
}

/**
 * What Node compiles and strips of types is kept for the next process; each entry is checked against its source, so it is
 * never out of date. The routers that tests start find it too (`testing/src/lfo-process.ts`).
 */
const env = { NODE_COMPILE_CACHE: resolve('node_modules/.cache/lfo-tests'), ...process.env };
const imports = '--import=./scripts/end-of-tests.ts';

/** Each file has a process, begun in the order given. */
export async function runApart(files: readonly string[], limits: RunLimits): Promise<FilesRun> {
  if (files.length === 0) return { failed: [], findings: [] };
  const signal = AbortSignal.timeout(limits.deadlineMs);
  const events = run({
    files: files.map((file) => resolve(file)),
    concurrency: limits.atOnce,
    timeout: limits.timeoutMs,
    execArgv: [imports],
    env,
    signal,
  });
  const reader = new FindingReader();
  const findings: TestFinding[] = [];
  events.on('test:pass', (data) => void findings.push(...reader.read({ type: 'test:pass', data })));
  events.on('test:fail', (data) => void findings.push(...reader.read({ type: 'test:fail', data })));
  events.on('test:summary', (data) => void findings.push(...reader.read({ type: 'test:summary', data })));
  events.compose(spec()).pipe(process.stdout, { end: false });
  await finished(events);
  if (signal.aborted) throw new Error(`The tests did not end within ${limits.deadlineMs / 60_000} minutes.`);
  // One that leaves in the middle with exit code 0 is no failure to Node.
  const ended = ran(findings);
  const left = files.filter((file) => !ended.has(file));
  return { failed: [...new Set([...failedIn(findings), ...left])], findings };
}

/**
 * Files share processes, as many as may run at once, and what they import is loaded once in each. Those that would
 * disturb their neighbours have their own. Where a shared process does not end as it should, which of its files is at
 * fault is found out by running each apart.
 */
export async function runTogether(files: readonly string[], limits: RunLimits): Promise<FilesRun> {
  const alone = files.filter((file) => needsOwnProcess(readFileSync(file, 'utf8')));
  const sharing = files.filter((file) => !alone.includes(file));
  const groups = Array.from({ length: limits.atOnce }, (_, group) =>
    sharing.filter((_file, index) => index % limits.atOnce === group),
  );
  const shared = groups.map(async (group, index) => {
    const outcome = await runShared(group, join(limits.folder, `record-${index}`), limits);
    const isClear = tellsAll(outcome, group);
    process.stdout.write(isClear ? outcome.output : `A process of ${group.length} files did not end as it should.\n`);
    return { unclear: isClear ? [] : group, findings: isClear ? outcome.findings : [] };
  });
  const [apart, ...together] = await Promise.all([runApart(alone, { ...limits, atOnce: 1 }), ...shared]);
  const unclear = together.flatMap((each) => each.unclear);
  const again = await runApart(unclear, limits);
  const findings = together.flatMap((each) => each.findings);
  return {
    failed: [...failedIn(findings), ...apart.failed, ...again.failed],
    findings: [...findings, ...apart.findings, ...again.findings],
  };
}

/** Whether it came to its end and what failed, if anything, has the name of one of its files: a helper's is none. */
function tellsAll({ status, findings }: Shared, files: readonly string[]): boolean {
  const hasEnded = findings.some(({ kind }) => kind === 'ran');
  const failed = failedIn(findings);
  return hasEnded && (failed.length === 0 ? status === 0 : failed.every((file) => files.includes(file)));
}

function ran(findings: readonly TestFinding[]): ReadonlySet<string> {
  return new Set(findings.flatMap((finding) => (finding.kind === 'ran' ? [relative('.', finding.file)] : [])));
}

function failedIn(findings: readonly TestFinding[]): readonly string[] {
  const named = findings.filter(({ kind }) => kind === 'failed').map(({ file }) => relative('.', file));
  return [...new Set(named)];
}

async function runShared(
  files: readonly string[],
  record: string,
  { timeoutMs, deadlineMs }: RunLimits,
): Promise<Shared> {
  const child = spawn(
    process.execPath,
    [
      imports,
      '--test',
      '--test-isolation=none',
      `--test-timeout=${timeoutMs}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=./scripts/test-record.ts',
      `--test-reporter-destination=${record}`,
      ...files,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: Math.min(deadlineMs, timeoutMs * 2),
      // A file in a loop hears nothing else.
      killSignal: 'SIGKILL',
      env: { ...env, ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}) },
    },
  );
  const parts: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => void parts.push(part));
  const closed = once(child, 'close');
  await once(child, 'exit');
  // What a test left behind may keep the pipes open.
  await Promise.race([closed, delay(1_000, undefined, { ref: false })]);
  const findings = (existsSync(record) ? readFileSync(record, 'utf8') : '')
    .split('\n')
    .filter(Boolean)
    .map((line): TestFinding => JSON.parse(line));
  return { status: child.exitCode, findings, output: Buffer.concat(parts).toString() };
}
