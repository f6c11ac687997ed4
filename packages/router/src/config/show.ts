import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { camelCase } from './camel-keys.ts';
import type { BackendConfig, LfoConfig } from './config.ts';
import { configJsonSchema } from './json-schema.ts';

const masked = '********';

/**
 * The settings in force as `lfo.yaml` spells them, every secret replaced: what it returns is a valid file. What only
 * follows from settings is left out.
 */
export function shownSettings(config: LfoConfig): JsonObject {
  const plain: JsonValue = JSON.parse(JSON.stringify(maskSecrets(config)));
  return isJsonObject(plain) ? settingsOf(plain, configJsonSchema()) : {};
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

function settingsOf(values: JsonObject, schema: JsonObject): JsonObject {
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
  return isJsonObject(value) && 'properties' in node ? settingsOf(value, node) : value;
}

function kindOf(item: JsonValue, kinds: readonly JsonValue[]): JsonObject {
  const { kind } = objectOf(item);
  return objectOf(kinds.find((node) => objectOf(objectOf(objectOf(node)['properties'])['kind'])['const'] === kind));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

function maskSecrets(config: LfoConfig) {
  const { authToken, ...server } = config.server;
  return {
    ...config,
    server: authToken === undefined ? server : { ...server, authToken: masked },
    backends: config.backends.map(maskBackend),
    telemetry: {
      ...config.telemetry,
      otlpHeaders: Object.fromEntries(Object.keys(config.telemetry.otlpHeaders).map((name) => [name, masked])),
    },
    ...(config.databaseUrl === undefined ? {} : { databaseUrl: maskUrl(config.databaseUrl) }),
  };
}

function maskBackend({ apiKeys, ...backend }: BackendConfig) {
  const apiKey = apiKeys.length === 0 ? {} : { apiKey: apiKeys.map(() => masked).join(',') };
  return { ...backend, baseUrl: maskUrl(backend.baseUrl), ...apiKey };
}

function maskUrl(text: string): string {
  const url = new URL(text);
  if (url.password === '') return text;
  url.password = masked;
  return url.href;
}
