import type { Clock } from '../../core/clock.ts';
import type { LfoConfig } from '../../config/config.ts';
import type { RouterClient } from '../router-client.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from '../terminal.ts';
import { checkBackends } from './backends.ts';
import { broken, passed, type Check } from './check.ts';
import type { KeyStore } from '../../keys/key-store.ts';
import { checkDatabase } from './database.ts';
import { checkDataFolder, checkEngine, checkFleetPort, checkModel, checkPort, checkRuntime } from './machine.ts';

export interface DoctorOptions {
  readonly json: boolean;
  /** Whether backends and keys are tried with a real call. */
  readonly live: boolean;
  /** `linux-x64` */
  readonly machine: string;
  readonly openKeys: (config: LfoConfig) => Promise<KeyStore>;
}

/** Checks what LFO needs on this machine: a line each, with the fix where something is wrong. */
export async function doctor(
  terminal: Terminal,
  config: LfoConfig,
  client: RouterClient,
  clock: Clock,
  options: DoctorOptions,
): Promise<number> {
  const checks = [
    checkRuntime(terminal.nodeVersion),
    ...checkConfiguration(config),
    checkEngine(config, options.machine),
    await checkModel(config, terminal),
    await checkPort(config, client),
    await checkFleetPort(config, client),
    checkDataFolder(config.dataDir),
    await checkDatabase(config, options.openKeys),
    ...(options.live ? await checkBackends(config, clock) : []),
  ];
  return reportChecks(terminal, checks, options.json);
}

/** Prints what was found; its exit code says whether all is well. */
export function reportChecks(terminal: Terminal, checks: readonly Check[], json: boolean): number {
  const isWell = checks.every(({ ok }) => ok);
  if (json) printLine(terminal, JSON.stringify({ ok: isWell, checks }));
  else for (const check of checks) printLine(terminal, lineOf(check, terminal));
  return isWell ? exitCodes.done : exitCodes.failed;
}

function checkConfiguration({ file, warnings }: LfoConfig): Check[] {
  const [warning] = warnings;
  if (warning !== undefined) return warnings.map((each) => broken('config', each, 'lfo config check'));
  return [passed('config', file ?? 'defaults and environment')];
}

function lineOf({ name, ok, detail, fix }: Check, terminal: Terminal): string {
  const colours = coloursFor(terminal);
  const mark = ok ? colours.green('✓') : colours.red('✗');
  const line = `${mark} ${name.padEnd(10)} ${detail}`;
  return fix === undefined ? line : `${line}\n  ${' '.repeat(10)} → ${fix}`;
}
