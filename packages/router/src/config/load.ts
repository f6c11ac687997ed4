import { readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { isJsonObject, type JsonValue } from '../core/json.ts';
import { ConfigError, type ConfigProblem } from './config-error.ts';
import type { LfoConfig } from './config.ts';
import { mergeDotEnv, overridesFrom, unknownVariables, type Environment, type Override } from './environment.ts';
import { describeIssues, type Places } from './problems.ts';
import { provenanceOf, secretSettings } from './origins.ts';
import { resolveSettings } from './resolve.ts';
import { configFile } from './schema.ts';
import { settingsOf } from './show.ts';
import { parseYamlFile, type YamlFile } from './yaml-file.ts';

export interface LoadOptions {
  /** Variables of the process; a `.env` in `cwd` adds to them. */
  readonly env: Environment;
  /** Working folder: `.env`, `lfo.yaml` and relative paths of variables start here. */
  readonly cwd: string;
  /** Instead of `LFO_CONFIG`. */
  readonly file?: string;
  /** To look at a file whose variables are set elsewhere: what is not set is a warning, and stands for itself. */
  readonly allowUnset?: boolean;
  /** Of a command that opens no port: that there is no key yet is no problem then, and may be what it mends. */
  readonly opensNoPort?: boolean;
}

/**
 * Reads the whole configuration: environment over file over defaults. Blocks on a few small files.
 * @throws ConfigError with every problem found.
 */
export function loadConfig(options: LoadOptions): LfoConfig {
  const { cwd } = options;
  const env = mergeDotEnv(options.env, readIfPresent(join(cwd, '.env')));
  const file = findFile(options, env);
  const unset = new Set<string>();
  const note = options.allowUnset === true ? (name: string): void => void unset.add(name) : undefined;
  const yaml = file === undefined ? undefined : parseYamlFile(readRequired(file), basename(file), env, note);
  const overrides = overridesFrom(env, cwd);
  const raw = applyOverrides(yaml?.value ?? {}, overrides);
  const places = placesOf(overrides, yaml, file);

  const parsed = configFile.safeParse(raw);
  if (!parsed.success) throw new ConfigError(describeIssues(parsed.error.issues, raw, places));

  const problems: ConfigProblem[] = [];
  const warnings = [...unset].map((name) => `${name} is not set: export it where LFO runs.`);
  warnings.push(...unknownVariables(env).map(({ where, message }) => `${where} ${message}`));
  if (file !== undefined && holdsSecret(yaml?.written) && isReadableByOthers(file)) {
    warnings.push(`${basename(file)} may be read by other users of this machine: chmod 600 ${basename(file)}`);
  }
  if (yaml !== undefined && isJsonObject(yaml.value) && yaml.value['android'] !== undefined) {
    warnings.push('android is an older spelling: write it as an entry of fleet.dial.');
  }
  const config = resolveSettings(
    parsed.data,
    { env, cwd, file, opensNoPort: options.opensNoPort === true },
    {
      problem: (path, message) => problems.push({ where: places.of(path), message }),
      warning: (message) => warnings.push(message),
    },
  );
  if (problems.length > 0) throw new ConfigError(problems);
  return { ...config, ...provenanceOf(settingsOf(config), { overrides, yaml, file, env }), warnings };
}

function findFile(options: LoadOptions, env: Environment): string | undefined {
  const named = options.file ?? env['LFO_CONFIG'];
  if (named !== undefined) return resolve(options.cwd, named);
  const usual = join(options.cwd, 'lfo.yaml');
  return statSync(usual, { throwIfNoEntry: false })?.isFile() === true ? usual : undefined;
}

function readIfPresent(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readRequired(path) : undefined;
}

function readRequired(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new ConfigError([
      { where: basename(path), message: 'cannot be read: check that the file exists and that you may read it' },
    ]);
  }
}

/** Puts each value of the environment over the file's, leaving what is no group of keys for validation to refuse. */
function applyOverrides(value: unknown, overrides: readonly Override[]): unknown {
  return overrides.reduce((raw, override) => withValue(raw, override.path, override.value), value);
}

function withValue(value: unknown, path: readonly string[], leaf: JsonValue): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return leaf;
  const group = value ?? {};
  if (!isJsonObject(group)) return value;
  return { ...group, [key]: withValue(group[key], rest, leaf) };
}

function placesOf(overrides: readonly Override[], yaml: YamlFile | undefined, file: string | undefined): Places {
  const variables = new Map(overrides.map(({ path, variable }) => [path.join('.'), variable]));
  return {
    of(path) {
      const key = path.map(String).join('.');
      const variable = variables.get(key);
      if (variable !== undefined) return variable;
      if (yaml === undefined || file === undefined) return key;
      return `${basename(file)}:${yaml.lineOf(path)}${key === '' ? '' : ` ${key}`}`;
    },
  };
}

function holdsSecret(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsSecret);
  if (!isJsonObject(value)) return false;
  return Object.entries(value).some(([key, inner]) =>
    typeof inner === 'string' ? secretSettings.has(key) && !inner.includes('${') : holdsSecret(inner),
  );
}

function isReadableByOthers(file: string): boolean {
  return (statSync(file).mode & 0o077) !== 0;
}
