import type { BackendConfig, LfoConfig } from './config.ts';

const masked = '********';

/** The configuration for people's eyes: every secret replaced, everything else as it is. */
export function maskSecrets(config: LfoConfig): LfoConfig {
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

function maskBackend(backend: BackendConfig): BackendConfig {
  return { ...backend, baseUrl: maskUrl(backend.baseUrl), apiKeys: backend.apiKeys.map(() => masked) };
}

function maskUrl(text: string): string {
  const url = new URL(text);
  if (url.password === '') return text;
  url.password = masked;
  return url.href;
}
