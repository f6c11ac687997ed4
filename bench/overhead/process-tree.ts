import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process and those that it started, and so on. */
export function treeOf(pid: number): readonly number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

/** CPU time of a process and those it started, in milliseconds, by the scheduler's own count in nanoseconds (proc(5)). */
export function cpuMsOf(pid: number): number {
  let nanoseconds = 0;
  for (const one of treeOf(pid)) {
    for (const task of entriesOf(`/proc/${one}/task`)) {
      nanoseconds += Number(textOf(`/proc/${one}/task/${task}/schedstat`).split(' ')[0] ?? 0);
    }
  }
  return nanoseconds / 1e6;
}

/** The same since its start, threads that have ended included; in ticks of 10 ms. */
export function wholeCpuMsOf(pid: number): number {
  let ticks = 0;
  for (const one of treeOf(pid)) {
    const fields = textOf(`/proc/${one}/stat`)
      .replace(/^.*\) /, '')
      .split(' ');
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0) + Number(fields[13] ?? 0) + Number(fields[14] ?? 0);
  }
  return ticks * 10;
}

/** Resident memory of a process and those it started, in megabytes. */
export function residentMbOf(pid: number): number {
  return treeOf(pid).reduce(
    (sum, one) => sum + Number(/VmRSS:\s+(\d+)/.exec(textOf(`/proc/${one}/status`))?.[1] ?? 0) / 1024,
    0,
  );
}

/** Keeps a process, and what it starts from now on, on one core; does nothing where there is but one. */
export function pin(pid: number, core: number): void {
  try {
    execFileSync('taskset', ['-apc', String(core), String(pid)], { stdio: 'ignore' });
  } catch {
    // A machine of one core, or without the command: the figures are the noisier for it.
  }
}

function childrenOf(pid: number): readonly number[] {
  return entriesOf(`/proc/${pid}/task`).flatMap((task) =>
    textOf(`/proc/${pid}/task/${task}/children`)
      .split(' ')
      .filter((child) => child !== '')
      .map(Number),
  );
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
