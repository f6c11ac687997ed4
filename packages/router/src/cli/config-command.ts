import { stringify } from 'yaml';
import type { LfoConfig } from '../config/config.ts';
import { maskSecrets } from '../config/show.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

/** Prints the configuration in force, secrets masked, spelled as in the file. */
export function showConfig(terminal: Terminal, config: LfoConfig, json: boolean): number {
  const shown = snakeCase(maskSecrets(config));
  terminal.output.write(json ? `${JSON.stringify(shown)}\n` : stringify(shown));
  return exitCodes.done;
}

/** Says that a configuration that was loaded is good, and what is odd about it. */
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

function snakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCase(inner),
    ]),
  );
}
