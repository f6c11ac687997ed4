import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';

import type { KeyedProcess } from '../faults/keyed-process.ts';
import type { StressKey } from './stress-traffic.ts';
import { type Mood, moods } from './stress-upstream.ts';

/** Everything that happens to a router while it serves. */
export interface Troubles {
  /** How each backend behaves now. */
  readonly moods: readonly Mood[];
  /** Keys that clients may use, dead ones among them. */
  readonly keys: readonly StressKey[];
  /** How often each trouble came. */
  readonly counts: ReadonlyMap<string, number>;
  /** What did not happen after a trouble and must, a sentence each. */
  readonly wrong: readonly string[];
  /** Ends them; resolves once the last is over and every backend is well. */
  readonly stop: () => Promise<void>;
}

export interface TroubledRouter {
  readonly router: KeyedProcess;
  /** Keys that stay good. */
  readonly keys: readonly string[];
  readonly backends: number;
  /** Two files that are good, between which the configuration changes. */
  readonly configurations: readonly [string, string];
}

/** A frozen process is noticed after 15 s without a word; five times that is hanging. */
const replacedWithinMs = 75_000;

/** Starts all troubles at once, each at its own pace. */
export function startTroubles({ router, keys: lasting, backends, configurations }: TroubledRouter): Troubles {
  const over = new AbortController();
  const counts = new Map<string, number>();
  const wrong: string[] = [];
  const now: Mood[] = Array.from({ length: backends }, () => 'well');
  const keys: StressKey[] = lasting.map((value) => ({ value }));

  const flap = async (): Promise<void> => {
    const which = Math.floor(Math.random() * backends);
    const mood = moods[Math.floor(Math.random() * moods.length)];
    // Half of the time all is well: a cluster that never serves shows nothing.
    now[which] = Math.random() < 0.5 ? 'well' : (mood ?? 'well');
    await pause(300 + Math.random() * 900);
  };

  let reloads = 0;
  const reload = async (): Promise<void> => {
    const file = join(router.cwd, 'lfo.yaml');
    const next = configurations[++reloads % 2] ?? '';
    if (reloads % 3 === 0) writeFileSync(file, `${next}\nnonsense: [`);
    else writeFileSync(file, next);
    router.lfo.child.kill('SIGHUP');
    await pause(2_000 + Math.random() * 1_000);
    writeFileSync(file, next);
  };

  // The file that the router reads is broken now and then.
  const steady = ['--config', join(router.cwd, 'steady.yaml')];
  writeFileSync(join(router.cwd, 'steady.yaml'), configurations[0]);
  let made = 0;
  // One after the other: a key is not made while the database is locked on purpose.
  const keysAndLocks = async (): Promise<void> => {
    const name = `short-${++made}`;
    const key: StressKey = { value: await router.run(...steady, 'keys', 'create', '--name', name) };
    await pause(2_000);
    keys.push(key);
    await pause(2_000);
    await router.run(...steady, 'keys', 'revoke', name);
    key.revokedMs = performance.now();
    const database = new DatabaseSync(join(router.cwd, 'data', 'lfo.db'), { timeout: 5_000 });
    database.exec('begin exclusive');
    await pause(1_500);
    database.exec('rollback');
    database.close();
    if (keys.length > lasting.length + 1) keys.splice(lasting.length, 1);
  };

  let rounds = 0;
  const child = async (): Promise<void> => {
    await pause(4_000 + Math.random() * 3_000);
    const pid = childOf(router.lfo.child.pid);
    if (pid === undefined || over.signal.aborted) return;
    if (rounds++ % 4 !== 1) return signal(pid, 'SIGKILL');
    signal(pid, 'SIGSTOP');
    note('child stopped');
    // Nobody thaws it: the router has to notice, and this waits beyond the end of the run if need be.
    const from = performance.now();
    while (childOf(router.lfo.child.pid) === pid && performance.now() - from < replacedWithinMs) await delay(100);
    if (childOf(router.lfo.child.pid) !== pid) return note('stopped child replaced');
    wrong.push(`a child that was stopped was not replaced within ${replacedWithinMs / 1000} s`);
    signal(pid, 'SIGKILL');
  };

  const note = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const pause = (ms: number): Promise<void> => delay(ms, undefined, { signal: over.signal }).catch(() => undefined);
  const again = async (name: string, trouble: () => Promise<void>): Promise<void> => {
    while (!over.signal.aborted) {
      note(name);
      try {
        await trouble();
      } catch (error) {
        wrong.push(`${name}: ${String(error)}`);
        return;
      }
    }
  };
  const all = Promise.all([
    again('mood', flap),
    again('reload', reload),
    again('key made, revoked, database locked', keysAndLocks),
    again('child', child),
  ]);
  return {
    moods: now,
    keys,
    counts,
    wrong,
    async stop() {
      over.abort();
      await all;
      now.fill('well');
    },
  };
}

/** The process that hosts the model, by proc(5). */
export function childOf(pid: number | undefined): number | undefined {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean),
  );
  const host = children.find((each) => commandOf(each).includes('lfo-device-host'));
  return host === undefined ? undefined : Number(host);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** One that has just ended is as good as hit. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}
