import { Document, isMap, isScalar, isSeq, Scalar } from 'yaml';
import type { LfoConfig } from '../config/config.ts';
import { shownSettings } from '../config/show.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

/** Prints the settings in force as a file that can be read again: a variable in the place of each secret. */
export function showConfig(terminal: Terminal, config: LfoConfig, json: boolean): number {
  const shown = shownSettings(config);
  if (json) printLine(terminal, JSON.stringify({ ...shown, origins: originsOf(shown, config) }));
  else terminal.output.write(yamlOf(shown, config));
  return exitCodes.done;
}

/** By path: `default`, `lfo.yaml:3`, `override` or the name of a variable. */
function originsOf(shown: object, { origins }: LfoConfig): Readonly<Record<string, string>> {
  return Object.fromEntries(leavesOf(shown, '').map((path) => [path, origins[path] ?? 'default']));
}

function leavesOf(value: unknown, path: string): readonly string[] {
  const isGroup = typeof value === 'object' && value !== null && (!Array.isArray(value) || value.some(isObject));
  if (!isGroup || path === 'prices' || Object.keys(value).length === 0) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path === '' ? key : `${path}.${key}`));
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function yamlOf(shown: object, { references }: LfoConfig): string {
  const document = new Document(shown);
  for (const [path, reference] of Object.entries(references)) {
    const node = nodeAt(document.contents, path.split('.'));
    if (!isScalar(node)) continue;
    // Quoted, since a bare ${…} may turn out to be a number.
    node.type = Scalar.QUOTE_DOUBLE;
    const own = /\$\{(LFO_SECRET_\w+)\}/.exec(reference)?.[1];
    if (own !== undefined) node.comment = ` a secret of the file: export ${own}`;
  }
  return document.toString({ lineWidth: 0 });
}

function nodeAt(node: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((current, key) => {
    if (isMap(current)) return current.get(key, true);
    return isSeq(current) ? current.get(Number(key), true) : undefined;
  }, node);
}

/** Prints that a loaded configuration is valid, with its warnings. */
export function checkConfig(terminal: Terminal, config: LfoConfig, json: boolean): number {
  const { file, warnings } = config;
  if (json) printLine(terminal, JSON.stringify({ ok: true, file: file ?? null, warnings }));
  else {
    const colours = coloursFor(terminal);
    const what = file === undefined ? 'There is no file; defaults and environment are good.' : `${file} is good.`;
    printLine(terminal, `${colours.green('✓')} ${what}`);
    for (const warning of warnings) printLine(terminal, `${colours.yellow('!')} ${warning}`);
  }
  return exitCodes.done;
}
