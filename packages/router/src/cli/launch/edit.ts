import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import { CliError, exitCodes } from '../terminal.ts';

/** JSON text with these members set: objects are joined, anything else is replaced. Comments are lost. */
export function mergedJson(text: string | undefined, changes: JsonObject): string {
  return `${JSON.stringify(merged(readJson(text), changes), null, 2)}\n`;
}

function merged(old: JsonObject, changes: JsonObject): JsonObject {
  const result: Record<string, JsonValue> = { ...old };
  for (const [key, value] of Object.entries(changes)) {
    const before = result[key];
    result[key] = isJsonObject(value) && isJsonObject(before) ? merged(before, value) : value;
  }
  return result;
}

function readJson(text: string | undefined): JsonObject {
  if (text === undefined || text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(plainJson(text));
    if (isJsonObject(value)) return value;
  } catch {
    // Said below.
  }
  throw new CliError('is not JSON that can be read; mend it or move it away first', exitCodes.failed);
}

/** Without comments and trailing commas, which agents allow in their files. */
function plainJson(text: string): string {
  const token = /"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[^]*?\*\/|,(?=\s*(?:\/\/[^\n]*\s*|\/\*[^]*?\*\/\s*)*[}\]])/g;
  return text.replace(token, (found) => (found.startsWith('"') ? found : ''));
}

type Settings = Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>;

/**
 * TOML text with these settings, by table; `''` is the top of the file. A table that is there is given the keys it
 * lacks and has those of the same name replaced; the rest of the file stays as it is, to the letter.
 */
export function withSettings(text: string, settings: Settings): string {
  let lines = linesOf(text);
  for (const [table, values] of Object.entries(settings)) lines = withTable(lines, table, values);
  return `${lines.join('\n')}\n`;
}

const tomlToken = /"""(?:[^\\]|\\[^])*?"{3,5}|'''[^]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[[\]{}\n]/g;

/** Of TOML: what a value holds over several lines is one with them. */
function linesOf(text: string): string[] {
  const lines: string[] = [];
  let [from, depth] = [0, 0];
  for (const { 0: token, index } of text.matchAll(tomlToken)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth = Math.max(0, depth - 1);
    else if (token === '\n' && depth === 0) {
      lines.push(text.slice(from, index));
      from = index + 1;
    }
  }
  const rest = text.slice(from).replace(/\n$/, '');
  return rest === '' ? lines : [...lines, rest];
}

function withTable(lines: readonly string[], table: string, values: Settings[string]): string[] {
  const heads = lines.flatMap((line, at) => (/^\s*\[/.test(line) ? [at] : []));
  const head = heads.find((at) => lines[at]?.trim().replace(/\s*#.*$/, '') === `[${table}]`);
  const isTop = table === '';
  const written = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  if (!isTop && head === undefined) {
    return [...lines, ...(lines.length === 0 ? [] : ['']), `[${table}]`, ...written];
  }
  const from = isTop ? 0 : (head ?? 0) + 1;
  const to = heads.find((at) => at >= from) ?? lines.length;
  const isReplaced = (line: string): boolean => Object.keys(values).some((key) => keyOf(line) === key);
  const kept = lines.slice(from, to).filter((line) => !isReplaced(line));
  return [...lines.slice(0, from), ...written, ...kept, ...lines.slice(to)];
}

function keyOf(line: string): string | undefined {
  return /^\s*"?([\w-]+)"?\s*=/.exec(line)?.[1];
}
