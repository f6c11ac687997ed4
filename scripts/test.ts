/**
 * Runs the tests of one kind, or of all: `node scripts/test.ts [unit|integration|model|all] [name-part …]`.
 * unit: fast, alone, no weights. integration: sockets, child processes, browsers. model: real weights, one at a time.
 * `LFO_TEST_FULL=1` (`npm run test:full`) runs what takes long too: every file with real weights, and the numbers of
 * `testing/src/test-scale.ts`; a run of all is then written to `docs/test-full.md`. The script runs the app's before it,
 * so that the page speaks of both.
 *
 * Unit files share two processes, so that what they import is loaded twice and not once a file; in the full run and
 * with `CI=true` each has its own. How files are run is told in `run-test-files.ts`.
 *
 * At most two integration files that failed beside others are run once more, alone, and are named at the end;
 * `LFO_TEST_RERUNS` is another number. With
 * `CI=true` a test that is skipped, still to do or left out by `only` fails the run: see `allowed-skips.ts`.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { runApart, runTogether, type RunLimits } from './run-test-files.ts';
import { type KindResult, testPage } from './test-page.ts';
import type { TestFinding } from './test-record.ts';
import { hiddenBy, onlyIn } from './test-verdict.ts';

const kinds = ['unit', 'integration', 'model'] as const;
type Kind = (typeof kinds)[number];

const isFull = process.env['LFO_TEST_FULL'] === '1';
const isStrict = process.env['CI'] === 'true' || isFull;
const [wanted = 'all', ...parts] = process.argv.slice(2);
if (wanted !== 'all' && !kinds.some((kind) => kind === wanted)) {
  throw new Error(`"${wanted}" is no kind of test: ${kinds.join(', ')} or all.`);
}

/** One file with real weights an engine; the others take minutes and are left to the full run. */
const modelFilesOfCi: readonly string[] = ['llama-engine.model.test.ts'];
/**
 * Timings and memory of model tests suffer from company; sockets hardly do, and integration files wait a third of their
 * time: three of them keep two cores busy.
 */
const concurrency: Readonly<Record<Kind, number>> = { unit: 2, integration: 3, model: 1 };
/** Begun first, so that none is left to run alone at the end: those that take a minute, by parts of their names. */
const longest = [
  '/fast-way.',
  '/stress.',
  '/dashboard-looks.',
  '/database.',
  '/several-routers-outages.',
  '/disk.',
  '/several-routers.',
];
const timeoutMs: Readonly<Record<Kind, number>> = { unit: 60_000, integration: 180_000, model: 600_000 };
/** For all files of a kind: many times what they take. A run that stands still ends, and says what was running. */
const deadlineMs: Readonly<Record<Kind, number>> = { unit: 600_000, integration: 2_400_000, model: 1_200_000 };
const timesLonger = isFull ? 10 : 1;
/** Of fewer files each is run as it would be alone. */
const fewestToShare = 10;
const mostReruns = Number(process.env['LFO_TEST_RERUNS'] ?? 2);

const folder = mkdtempSync(join(tmpdir(), 'lfo-tests-'));
const filesOf = filesByKind();
const results: KindResult[] = [];
const problems: string[] = [];
const rerun: string[] = [];
for (const kind of kinds) if (wanted === 'all' || wanted === kind) results.push(await runKind(kind));
rmSync(folder, { recursive: true, force: true });
if (results.every(({ files }) => files === 0)) throw new Error(`No test file matches ${parts.join(' ')}.`);
report();
if (isFull && wanted === 'all' && parts.length === 0) writeFileSync('docs/test-full.md', testPage(results, rerun));
process.exitCode = problems.length === 0 ? 0 : 1;

function filesByKind(): Readonly<Record<Kind, readonly string[]>> {
  // The app's tests are its own Jest's.
  const ignored = new Set(['node_modules', 'dist', 'apps']);
  const all = globSync('**/*.test.ts', { exclude: (path) => ignored.has(basename(path)) }).toSorted();
  for (const name of modelFilesOfCi) {
    if (!all.some((file) => basename(file) === name)) throw new Error(`There is no ${name}, which is named here.`);
  }
  const chosen = all.filter((file) => parts.every((part) => file.includes(part)));
  const isLong = (file: string): boolean => !isFull && parts.length === 0 && !modelFilesOfCi.includes(basename(file));
  const model = chosen.filter((file) => file.endsWith('.model.test.ts'));
  const integration = chosen.filter((file) => file.endsWith('.integration.test.ts'));
  const others = new Set([...model, ...integration]);
  const rank = (file: string): number => {
    const place = longest.findIndex((part) => file.includes(part));
    return place === -1 ? longest.length : place;
  };
  return {
    unit: chosen.filter((file) => !others.has(file)),
    integration: integration.toSorted((a, b) => rank(a) - rank(b)),
    model: model.filter((file) => !isLong(file)),
  };
}

/** Runs all files of a kind and notes what is wrong with them. */
async function runKind(kind: Kind): Promise<KindResult> {
  const files = filesOf[kind];
  const startMs = performance.now();
  const result = (findings: readonly TestFinding[], failed: readonly string[]): KindResult => {
    if (failed.length > 0) problems.push(...failed.map((file) => `${file} failed.`));
    const tookMs = performance.now() - startMs;
    return { kind, files: files.length, tookMs, findings, failed };
  };
  if (files.length === 0) return result([], []);
  process.stdout.write(`\n${kind}: ${files.length} files\n`);
  if (isStrict) for (const file of files) problems.push(...onlyIn(file, readFileSync(file, 'utf8')));
  const limits: RunLimits = {
    folder,
    atOnce: concurrency[kind],
    timeoutMs: timeoutMs[kind] * timesLonger,
    deadlineMs: deadlineMs[kind] * timesLonger,
  };
  const areShared = kind === 'unit' && !isStrict && files.length >= fewestToShare;
  const { failed, findings } = await (areShared ? runTogether(files, limits) : runApart(files, limits));
  if (isStrict) problems.push(...hiddenBy(findings));
  if (failed.length === 0 || kind !== 'integration' || failed.length > mostReruns) return result(findings, failed);
  process.stdout.write(`\nonce more, alone:\n${failed.map((file) => `  ${file}\n`).join('')}`);
  rerun.push(...failed);
  return result(findings, (await runApart(failed, { ...limits, atOnce: 1 })).failed);
}

function report(): void {
  const minutes = (ms: number): string => `${(ms / 60_000).toFixed(1)} min`;
  const lines = results.map(({ kind, files, tookMs, failed }) => {
    return `${kind}: ${files} files in ${minutes(tookMs)}, ${failed.length} failed`;
  });
  const ran = results.flatMap(({ findings }) => findings).filter((finding) => finding.kind === 'ran');
  const slowest = ran.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, 5);
  const skipped = results.flatMap(({ findings }) => findings).filter(({ kind }) => kind === 'skipped').length;
  lines.push(
    `slowest: ${slowest.map(({ file, tookMs }) => `${basename(file)} ${Math.round(tookMs / 1000)} s`).join(', ')}`,
  );
  lines.push(
    `${skipped} tests skipped; ${rerun.length} files run once more${rerun.length === 0 ? '' : ': '}${rerun.join(', ')}`,
  );
  process.stdout.write(`\n${lines.join('\n')}\n`);
  for (const problem of problems) process.stdout.write(`PROBLEM: ${problem}\n`);
}
