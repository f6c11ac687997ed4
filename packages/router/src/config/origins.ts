import { basename } from 'node:path';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import type { Environment, Override } from './environment.ts';
import { valueAt } from './problems.ts';
import type { YamlFile } from './yaml-file.ts';

/** Where the settings of a configuration came from. Paths are those of the settings as shown: `server.port`. */
export interface Provenance {
  /** `lfo.yaml:3`, or the name of a variable; what is not in it is a default. */
  readonly origins: Readonly<Record<string, string>>;
  /** Of every secret: the `${…}` that stands for it. */
  readonly references: Readonly<Record<string, string>>;
}

/** What a configuration was read from. */
export interface Sources {
  readonly overrides: readonly Override[];
  readonly yaml: YamlFile | undefined;
  /** Absolute. */
  readonly file: string | undefined;
  readonly env: Environment;
}

/** Tells of each setting where it came from. O(settings). */
export function provenanceOf(settings: JsonObject, sources: Sources): Provenance {
  const origins: Record<string, string> = {};
  const references: Record<string, string> = {};
  const variables = new Map(sources.overrides.map(({ path, variable }) => [path.join('.'), variable]));
  visit(settings, [], (path, value) => {
    const shown = path.join('.');
    const place = placeInFile(path, settings, sources);
    const variable = variables.get(shown) ?? geminiVariable(path, place, settings, sources);
    const written = place === undefined ? undefined : valueAt(sources.yaml?.written, place);
    if (variable !== undefined) origins[shown] = variable;
    else if (written !== undefined)
      origins[shown] = `${basename(sources.file ?? '')}:${sources.yaml?.lineOf(place ?? [])}`;
    if (isSecret(path, value)) references[shown] = referenceOf(path, variable, written);
  });
  return { origins, references };
}

/** Leaves of the settings: values, lists of values, and groups whose keys are the user's. */
function visit(value: JsonValue, path: readonly string[], use: (path: readonly string[], value: JsonValue) => void) {
  const [top] = path;
  const isOwn = top === 'prices' && path.length === 1;
  if (isJsonObject(value) && !isOwn) {
    for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key], use);
  } else if (Array.isArray(value) && value.some(isJsonObject)) {
    for (const [index, inner] of value.entries()) visit(inner, [...path, String(index)], use);
  } else if (path.length > 0) use(path, value);
}

/** The path in the file; of backends the entry by its name, since one entry may have become two. */
function placeInFile(path: readonly string[], settings: JsonObject, { yaml }: Sources): PropertyKey[] | undefined {
  const [top, index, ...rest] = path;
  if (top !== 'backends' || index === undefined) {
    return path.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  }
  const backend = valueAt(settings, ['backends', Number(index)]);
  const entries = valueAt(yaml?.written, ['backends']);
  if (!Array.isArray(entries) || !isJsonObject(backend)) return undefined;
  const { name, kind } = backend;
  const place = entries.findIndex((entry: unknown) => {
    if (!isJsonObject(entry)) return false;
    const called = typeof entry['name'] === 'string' ? entry['name'] : 'gemini';
    return entry['kind'] === kind && (called === name || `${called}-cloud` === name);
  });
  return place === -1 ? undefined : ['backends', place, ...rest];
}

/** What the file leaves open of a Gemini backend, or all of it, comes from the environment. */
function geminiVariable(
  path: readonly string[],
  place: readonly PropertyKey[] | undefined,
  settings: JsonObject,
  { yaml, env }: Sources,
): string | undefined {
  const [top, index, key] = path;
  if (top !== 'backends' || valueAt(settings, ['backends', Number(index), 'kind']) !== 'gemini') return undefined;
  if (place !== undefined && valueAt(yaml?.written, place) !== undefined) return undefined;
  if (key === 'api_key') return 'GEMINI_API_KEY';
  if (key === 'base_url' && env['GEMINI_BASE_URL'] !== undefined) return 'GEMINI_BASE_URL';
  if (key === 'models' && env['GEMINI_MODEL'] !== undefined) return 'GEMINI_MODEL';
  return undefined;
}

/** Settings that are secrets, or hold one. */
export const secretSettings: ReadonlySet<string> = new Set([
  'auth_token',
  'api_key',
  'database_url',
  'database_listen_url',
  'limits_url',
]);

function isSecret(path: readonly string[], value: JsonValue): boolean {
  if (secretSettings.has(path.at(-1) ?? '')) return true;
  if (path[0] === 'telemetry' && path[1] === 'otlp_headers') return true;
  return typeof value === 'string' && URL.canParse(value) && new URL(value).password !== '';
}

function referenceOf(path: readonly string[], variable: string | undefined, written: unknown): string {
  if (variable !== undefined) return `\${${variable}}`;
  if (typeof written === 'string' && written.includes('${')) return written;
  return `\${LFO_SECRET_${path
    .join('_')
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')}}`;
}
