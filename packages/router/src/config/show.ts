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
    (settings, [path, reference]) => withText(settings, path.split('.'), reference),
    settingsOf(config),
  );
}

/** Every secret of a configuration, for a log to watch for. */
export function secretsOf(config: LfoConfig): readonly string[] {
  const password = config.databaseUrl === undefined ? '' : decodeURIComponent(new URL(config.databaseUrl).password);
  return [
    config.server.authToken ?? '',
    password,
    ...config.backends.flatMap(({ apiKeys }) => apiKeys),
    ...Object.values(config.telemetry.otlpHeaders),
  ].filter((secret) => secret !== '');
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

/** The same with a text at a path that is there. */
function withText(value: JsonObject, path: readonly string[], text: string): JsonObject;
function withText(value: JsonValue, path: readonly string[], text: string): JsonValue;
function withText(value: JsonValue, [key, ...rest]: readonly string[], text: string): JsonValue {
  if (key === undefined) return text;
  if (Array.isArray(value)) {
    return value.map((item, index) => (String(index) === key ? withText(item, rest, text) : item));
  }
  if (!isJsonObject(value)) return value;
  const inner = value[key];
  return inner === undefined ? value : { ...value, [key]: withText(inner, rest, text) };
}
