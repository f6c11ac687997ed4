import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { camelCase } from './camel-keys.ts';
import type { BackendConfig, LfoConfig } from './config.ts';
import { configJsonSchema } from './json-schema.ts';

/** What of a configuration its settings alone say, as `lfo.yaml` spells them; secrets are in it. */
export function settingsOf(config: Omit<LfoConfig, 'warnings' | 'origins' | 'references'>): JsonObject {
  const backends = config.backends.map(({ apiKeys, ...backend }: BackendConfig) =>
    apiKeys.length === 0 ? backend : { ...backend, apiKey: apiKeys.join(',') },
  );
  const plain: JsonValue = JSON.parse(JSON.stringify({ ...config, backends }));
  return isJsonObject(plain) ? spelled(plain, configJsonSchema()) : {};
}

/**
 * The settings in force as `lfo.yaml` spells them, with a `${…}` in the place of every secret: what it returns is a valid
 * file. What only follows from settings is left out.
 */
export function shownSettings(config: LfoConfig): JsonObject {
  return Object.entries(config.references).reduce(
    (settings, [path, reference]) => withText(settings, path, reference),
    settingsOf(config),
  );
}

/** Every secret of a configuration, for a log to watch for. */
export function secretsOf(config: LfoConfig): readonly string[] {
  return [
    config.server.authToken ?? '',
    ...[config.databaseUrl, config.databaseListenUrl, config.limitsUrl].flatMap(passwordsOf),
    ...config.backends.flatMap(({ apiKeys }) => apiKeys),
    ...Object.values(config.telemetry.otlpHeaders),
  ].filter((secret) => secret !== '');
}

/** Of an address: before the host, or among its parameters. */
function passwordsOf(address: string | undefined): readonly string[] {
  if (address === undefined) return [];
  const { password, searchParams } = new URL(address);
  return [decodeURIComponent(password), searchParams.get('password') ?? ''];
}

function spelled(values: JsonObject, schema: JsonObject): JsonObject {
  const settings: Record<string, JsonValue> = {};
  for (const [key, node] of Object.entries(objectOf(schema['properties']))) {
    const value = values[camelCase(key)];
    if (value !== undefined) settings[key] = settingOf(value, objectOf(node));
  }
  return settings;
}

function settingOf(value: JsonValue, node: JsonObject): JsonValue {
  if (Array.isArray(value)) {
    const kinds = objectOf(node['items'])['oneOf'];
    return Array.isArray(kinds) ? value.map((item) => settingOf(item, kindOf(item, kinds))) : value;
  }
  // A group without keys of its own, such as prices, has the user's.
  return isJsonObject(value) && 'properties' in node ? spelled(value, node) : value;
}

function kindOf(item: JsonValue, kinds: readonly JsonValue[]): JsonObject {
  const { kind } = objectOf(item);
  return objectOf(kinds.find((node) => objectOf(objectOf(objectOf(node)['properties'])['kind'])['const'] === kind));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

/** The same with a text at a path that is there; the names of headers may have dots in them. */
function withText(value: JsonObject, path: string, text: string): JsonObject;
function withText(value: JsonValue, path: string, text: string): JsonValue;
function withText(value: JsonValue, path: string, text: string): JsonValue {
  if (Array.isArray(value)) {
    const [index = ''] = path.split('.', 1);
    return value.map((item, at) => (String(at) === index ? withText(item, path.slice(index.length + 1), text) : item));
  }
  if (!isJsonObject(value)) return path === '' ? text : value;
  const inner = value[path];
  if (inner !== undefined && !isJsonObject(inner)) return { ...value, [path]: text };
  const key = Object.keys(value).find((name) => path.startsWith(`${name}.`) && typeof value[name] === 'object');
  if (key === undefined) return value;
  return { ...value, [key]: withText(value[key] ?? null, path.slice(key.length + 1), text) };
}
