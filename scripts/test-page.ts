import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { basename } from 'node:path';

import type { TestFinding } from './test-record.ts';

/** How the files of one kind went. */
export interface KindResult {
  readonly kind: string;
  readonly files: number;
  readonly tookMs: number;
  readonly findings: readonly TestFinding[];
  /** Paths of what failed, a rerun included. */
  readonly failed: readonly string[];
}

/** `docs/test-full.md`: the last run of everything, with its date and what it was run on. */
export function testPage(results: readonly KindResult[], rerun: readonly string[]): string {
  const git = (...args: readonly string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const minutes = (ms: number): string => (ms / 60_000).toFixed(1);
  const rows = results.map(({ kind, files, tookMs, findings, failed }) => {
    const tests = findings.reduce((sum, finding) => sum + (finding.kind === 'ran' ? finding.tests : 0), 0);
    const skipped = findings.filter((finding) => finding.kind === 'skipped').length;
    const names = failed.length === 0 ? 'none' : failed.map((file) => basename(file)).join(', ');
    return `| ${kind} | ${files} | ${tests} | ${skipped} | ${names} | ${minutes(tookMs)} |`;
  });
  const cores = cpus();
  return [
    '# The full run',
    '',
    'Written by `npm run test:full`, which is run before a release: everything that `npm test` runs, and beside it 50 kills, up to 100,000 cases a property, three minutes of stress and every file with real weights. The phone app has passed before it, with its bundle, Kotlin, Hermes, screens and Termux.',
    '',
    `- date: ${new Date().toISOString().slice(0, 10)}`,
    `- commit: ${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`,
    `- machine: ${cores.length} × ${cores[0]?.model ?? 'unknown'}, Node ${process.versions.node}`,
    `- files run once more: ${rerun.length === 0 ? 'none' : rerun.map((file) => basename(file)).join(', ')}`,
    '',
    '| kind | files | tests | skipped | failed | minutes |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
