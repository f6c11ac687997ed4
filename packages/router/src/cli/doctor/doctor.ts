import type { Clock } from '../../core/clock.ts';
import type { LfoConfig } from '../../config/config.ts';
import type { RouterClient } from '../router-client.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from '../terminal.ts';
import { checkBackends, checkClock } from './backends.ts';
import { advised, passed, type Check } from './check.ts';
import { answerOf, checkRunning } from './running.ts';
import { checkWaits } from './waits.ts';
import type { Archive } from '../../records/archive.ts';
import type { KeyStore } from '../../keys/key-store.ts';
import { checkDatabase } from './database.ts';
import {
  checkDataFolder,
  checkDisk,
  checkEngine,
  checkFleetPort,
  checkModel,
  checkPort,
  checkRuntime,
} from './machine.ts';

export interface DoctorOptions {
  readonly json: boolean;
  /** Whether backends and keys are tried with a real call. */
  readonly live: boolean;
  /** `linux-x64` */
  readonly machine: string;
  readonly openKeys: (config: LfoConfig) => Promise<KeyStore>;
  readonly openArchive: (config: LfoConfig) => Promise<Archive>;
}

const weekMs = 7 * 86_400_000;

/** Checks what LFO needs on this machine: a line each, with the fix where something is wrong. */
export async function doctor(
  terminal: Terminal,
  config: LfoConfig,
  client: RouterClient,
  clock: Clock,
  options: DoctorOptions,
): Promise<number> {
  const database = await checkDatabase(config, options.openKeys);
  const devices = await answerOf(client, '/admin/devices');
  const checks = [
    checkRuntime(terminal.nodeVersion),
    ...checkConfiguration(config),
    checkEngine(config, options.machine),
    await checkModel(config, terminal),
    await checkPort(config, client),
    await checkFleetPort(config, devices),
    checkDataFolder(config.dataDir),
    checkDisk(config.dataDir),
    database,
    ...(options.live ? await checkBackends(config, clock) : [checkClock(undefined, clock)]),
    ...(await checkRunning(client, devices)),
    ...(database.ok ? await waitsOf(config, clock, options) : []),
  ];
  return reportChecks(terminal, checks, options.json, 'Ready.');
}

async function waitsOf(config: LfoConfig, clock: Clock, { openArchive }: DoctorOptions): Promise<readonly Check[]> {
  const archive = await openArchive(config);
  try {
    return await checkWaits(archive, clock.wallMs() - weekMs);
  } finally {
    await archive.close();
  }
}

/** Prints what was found, and the verdict where one is given; the exit code says whether all is well. */
export function reportChecks(terminal: Terminal, checks: readonly Check[], json: boolean, verdict?: string): number {
  const failed = checks.filter(({ ok }) => !ok);
  const isWell = failed.length === 0;
  if (json) printLine(terminal, JSON.stringify({ ok: isWell, checks }));
  else {
    for (const check of checks) printLine(terminal, lineOf(check, terminal));
    const { green, red } = coloursFor(terminal);
    const names = failed.map(({ name }) => name).join(', ');
    if (verdict !== undefined) printLine(terminal, isWell ? green(verdict) : red(`Not ready: ${names}.`));
  }
  return isWell ? exitCodes.done : exitCodes.failed;
}

function checkConfiguration({ file, warnings }: LfoConfig): Check[] {
  const [warning] = warnings;
  if (warning !== undefined) return warnings.map((each) => advised('config', each, 'lfo config check'));
  return [passed('config', file ?? 'defaults and environment')];
}

function lineOf({ name, ok, detail, fix }: Check, terminal: Terminal): string {
  const colours = coloursFor(terminal);
  const mark = !ok ? colours.red('✗') : fix === undefined ? colours.green('✓') : colours.yellow('!');
  const line = `${mark} ${name.padEnd(10)} ${detail}`;
  return fix === undefined ? line : `${line}\n  ${' '.repeat(10)} → ${fix}`;
}
