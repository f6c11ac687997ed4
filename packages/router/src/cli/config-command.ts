import { stringify } from 'yaml';
import type { LfoConfig } from '../config/config.ts';
import { shownSettings } from '../config/show.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

/** Prints the settings in force, secrets masked, as a file that could be read again. */
export function showConfig(terminal: Terminal, config: LfoConfig, json: boolean): number {
  const shown = shownSettings(config);
  terminal.output.write(json ? `${JSON.stringify(shown)}\n` : stringify(shown));
  return exitCodes.done;
}

/** Prints that a loaded configuration is valid, with its warnings. */
export function checkConfig(terminal: Terminal, config: LfoConfig, json: boolean): number {
  const { file, warnings } = config;
  if (json) printLine(terminal, JSON.stringify({ ok: true, file: file ?? null, warnings }));
  else {
    const colours = coloursFor(terminal);
    printLine(terminal, `${colours.green('✓')} ${file ?? 'No file: defaults and environment'} is good.`);
    for (const warning of warnings) printLine(terminal, `${colours.yellow('!')} ${warning}`);
  }
  return exitCodes.done;
}
