import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { ConfigProblem } from './config-error.ts';
import { geminiBaseUrl, geminiModel } from './backend-schema.ts';
import { nearest } from './nearest.ts';

/** Variables as a process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One variable LFO reads. */
export interface EnvironmentVariable {
  readonly name: string;
  /** Key of `lfo.yaml` it overrides; absent where it has none. */
  readonly path?: readonly string[];
  readonly kind: 'text' | 'number' | 'flag' | 'path' | 'secret' | 'model';
  readonly description: string;
  /** As shown in the reference, where the key it overrides does not say. */
  readonly fallback?: string;
}

/** Every variable LFO reads, in the order of the reference. */
export const environmentVariables: readonly EnvironmentVariable[] = [
  {
    name: 'GEMINI_API_KEY',
    kind: 'secret',
    description:
      'Adds the cloud backend `gemini`, unless the file has one of that kind. Several keys separated by commas take turns.',
  },
  {
    name: 'GEMINI_BASE_URL',
    kind: 'text',
    description: 'Address of the Gemini API, without a version.',
    fallback: geminiBaseUrl,
  },
  { name: 'GEMINI_MODEL', kind: 'text', description: 'Gemini model.', fallback: geminiModel },
  { name: 'PORT', path: ['server', 'port'], kind: 'number', description: 'Port to listen on.' },
  { name: 'HOST', path: ['server', 'host'], kind: 'text', description: 'Address to listen on.' },
  {
    name: 'LFO_ROUTER_NAME',
    path: ['server', 'name'],
    kind: 'text',
    description: 'Name of this router in records, metrics, logs and answers.',
    fallback: '`r-` and six random characters',
  },
  {
    name: 'LFO_AUTH_TOKEN',
    path: ['server', 'auth_token'],
    kind: 'secret',
    description: 'Key that clients must send; required beyond loopback.',
  },
  {
    name: 'MAX_LOCAL_TOKENS',
    path: ['routing', 'max_local_tokens'],
    kind: 'number',
    description: 'Longer prompts go to the cloud in mode `auto`.',
  },
  {
    name: 'LFO_CONFIDENCE_THRESHOLD',
    path: ['routing', 'confidence_threshold'],
    kind: 'number',
    description: 'Local answers below it are replaced by a cloud answer in mode `auto`; 0 to 1.',
  },
  {
    name: 'LFO_LOCAL_MODEL',
    path: ['embedded', 'model'],
    kind: 'model',
    description: 'Embedded model: a name of the catalogue, a path, `hf:owner/repo/file` or `none`.',
  },
  {
    name: 'LFO_EMBEDDING_MODEL',
    path: ['embedded', 'embedding_model'],
    kind: 'model',
    description: 'Embedded model for `/v1/embeddings`: as `LFO_LOCAL_MODEL`, such as `all-minilm-l6-v2`.',
  },
  {
    name: 'LFO_MODELS_DIR',
    path: ['embedded', 'models_dir'],
    kind: 'path',
    description: 'Folder of the model files.',
    fallback: '`models` in the data folder',
  },
  {
    name: 'LFO_MODEL_BASE_URL',
    path: ['embedded', 'model_base_url'],
    kind: 'text',
    description: 'Mirror of the model hub.',
  },
  {
    name: 'LFO_DATA_DIR',
    path: ['data_dir'],
    kind: 'path',
    description: 'Folder of the database and the models.',
    fallback: '`$XDG_DATA_HOME/lfo`, else `~/.local/share/lfo`',
  },
  {
    name: 'LFO_CONFIG',
    kind: 'path',
    description: 'Configuration file.',
    fallback: '`lfo.yaml` in the working folder, if there is one',
  },
  {
    name: 'LFO_LOG_LEVEL',
    path: ['log_level'],
    kind: 'text',
    description: 'Least severe log lines that are written.',
  },
  { name: 'LFO_OFFLINE', path: ['offline'], kind: 'flag', description: '`1`: never fetch a model.' },
  {
    name: 'LFO_BUNDLE',
    kind: 'text',
    description: '`off`: run the sources of a clone although a bundle of them is there.',
  },
  {
    name: 'DATABASE_URL',
    path: ['database_url'],
    kind: 'secret',
    description: 'PostgreSQL instead of SQLite in the data folder.',
  },
  {
    name: 'DATABASE_LISTEN_URL',
    path: ['database_listen_url'],
    kind: 'secret',
    description: 'The same database reached directly, where `DATABASE_URL` is a PgBouncer.',
  },
  {
    name: 'LIMITS_URL',
    path: ['limits_url'],
    kind: 'secret',
    description: 'Redis or Valkey that counts what limited keys use.',
  },
  {
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    path: ['telemetry', 'otlp_endpoint'],
    kind: 'text',
    description: 'Collector that takes traces over OTLP/HTTP.',
  },
  {
    name: 'LFO_FLEET_LISTEN',
    path: ['fleet', 'listen'],
    kind: 'text',
    description: 'Where devices dial this router: `auto`, `off` or `host:port`.',
  },
  {
    name: 'ANDROID_HOST',
    path: ['android', 'host'],
    kind: 'text',
    description: 'Address of a device that waits to be dialled.',
  },
  { name: 'ANDROID_PORT', kind: 'number', description: 'Port of that device.', fallback: '5555' },
];

/** One value out of the environment and the key it overrides. */
export interface Override {
  readonly variable: string;
  readonly path: readonly string[];
  readonly value: string | number | boolean;
}

/** The environment with what a `.env` text adds; what is set already wins, and an empty value counts as unset. */
export function mergeDotEnv(env: Environment, dotEnv: string | undefined): Environment {
  const merged: Record<string, string | undefined> = dotEnv === undefined ? {} : { ...parseEnv(dotEnv) };
  for (const [name, value] of Object.entries(env)) if (value !== undefined && value !== '') merged[name] = value;
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== ''));
}

/** Values that override the file. Numbers that are none stay text, so that validation names the variable. */
export function overridesFrom(env: Environment, cwd: string): readonly Override[] {
  const overrides: Override[] = [];
  for (const { name, path, kind } of environmentVariables) {
    const text = env[name];
    if (path === undefined || text === undefined) continue;
    overrides.push({ variable: name, path, value: parseValue(kind, text, cwd) });
  }
  const port = env['ANDROID_PORT'];
  if (port !== undefined && env['ANDROID_HOST'] !== undefined) {
    overrides.push({ variable: 'ANDROID_PORT', path: ['android', 'port'], value: parseValue('number', port, cwd) });
  }
  return overrides;
}

function parseValue(kind: EnvironmentVariable['kind'], text: string, cwd: string): string | number | boolean {
  switch (kind) {
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text;
    case 'flag':
      return parseFlag(text);
    case 'path':
      return resolve(cwd, text);
    case 'model':
      return isModelPath(text) ? resolve(cwd, text) : text;
    default:
      return text.trim();
  }
}

function parseFlag(text: string): boolean | string {
  if (/^(1|true|yes|on)$/i.test(text.trim())) return true;
  if (/^(0|false|no|off)$/i.test(text.trim())) return false;
  return text;
}

/** Whether a model's name is the path of a file rather than a name of the catalogue or of the hub. */
export function isModelPath(model: string): boolean {
  return !model.startsWith('hf:') && (/[/\\]/.test(model) || model.toLowerCase().endsWith('.gguf'));
}

/** Misspelt variables: `LFO_…` names that mean nothing to us. */
export function unknownVariables(env: Environment): readonly ConfigProblem[] {
  const known = new Set(environmentVariables.map(({ name }) => name));
  return Object.keys(env)
    .filter((name) => name.startsWith('LFO_') && !known.has(name) && !/^LFO_(TEST|SECRET)_/.test(name))
    .map((name) => {
      const suggestion = nearest(name, known);
      return {
        where: name,
        message: `is not a variable LFO reads${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}`,
      };
    });
}

/** The environment without anything that looks like a secret, ours or not: child processes have no use for it. */
export function withoutSecrets(env: Environment): Environment {
  const secret = /KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|^(DATABASE|DATABASE_LISTEN|LIMITS)_URL$/i;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !secret.test(name)));
}
