import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { keyCopyIn } from './data-folder.ts';
import { isLoopback, isPrivateHost } from './addresses.ts';
import { resolveBackends, type Findings } from './backends.ts';
import type {
  EmbeddedConfig,
  GateConfig,
  LfoConfig,
  LimitsConfig,
  RecordsConfig,
  ServerConfig,
  TelemetryConfig,
  TierBudgets,
} from './config.ts';
import { isModelPath, type Environment } from './environment.ts';
import type { FileSettings } from './schema.ts';

/** Where settings come from, to resolve relative paths and what the file leaves to the environment. */
export interface Origin {
  readonly env: Environment;
  readonly cwd: string;
  /** Absolute. */
  readonly file: string | undefined;
}

/** Turns valid settings into the configuration; what is valid alone and wrong together goes to `findings`. */
export function resolveSettings(
  settings: FileSettings,
  origin: Origin,
  findings: Findings,
): Omit<LfoConfig, 'warnings'> {
  const { routing, gate, retry, breaker } = settings;
  const server = resolveServer(settings.server);
  const dataDir = dataFolder(settings.data_dir, origin);
  // Whether any of these keys is good is for the database to say, before anything listens.
  if (!isLoopback(server.host) && server.authToken === undefined && !existsSync(keyCopyIn(dataDir))) {
    findings.problem(
      ['server', 'host'],
      `${server.host} can be reached from other machines: set LFO_AUTH_TOKEN to a long random key, run "lfo keys create", or use HOST=127.0.0.1`,
    );
  }
  if (server.authToken !== undefined && server.authToken.length < 16) {
    findings.warning('LFO_AUTH_TOKEN is short enough to be guessed: use 32 random characters or more.');
  }
  return {
    server,
    routing: {
      maxLocalTokens: routing.max_local_tokens,
      confidenceThreshold: routing.confidence_threshold,
      firstTokenBudgetMs: routing.first_token_budget_ms,
    },
    gate: resolveGate(gate),
    budgets: { local: resolveBudgets(settings.budgets.local), cloud: resolveBudgets(settings.budgets.cloud) },
    limits: resolveLimits(settings.limits),
    retry: {
      maxRetries: retry.max_retries,
      budgetRatio: retry.budget_ratio,
      baseDelayMs: retry.base_delay_ms,
      maxDelayMs: retry.max_delay_ms,
      maxRetryAfterMs: retry.max_retry_after_ms,
    },
    breaker: { failures: breaker.failures, openMs: breaker.open_ms, maxOpenMs: breaker.max_open_ms },
    records: resolveRecords(settings, findings),
    telemetry: resolveTelemetry(settings.telemetry, findings),
    embedded: resolveEmbedded(settings.embedded, dataDir, origin),
    prices: Object.fromEntries(
      Object.entries(settings.prices).map(([model, { prompt, cached = prompt, completion }]) => [
        model,
        { prompt, cached, completion },
      ]),
    ),
    backends: resolveBackends(settings.backends, origin.env, findings),
    dataDir,
    ...(settings.database_url === undefined ? {} : { databaseUrl: settings.database_url }),
    logLevel: settings.log_level,
    offline: settings.offline,
    ...(origin.file === undefined ? {} : { file: origin.file }),
    ...(settings.android === undefined ? {} : { android: settings.android }),
  };
}

function resolveServer(server: FileSettings['server']): ServerConfig {
  return {
    host: server.host,
    port: server.port,
    ...(server.auth_token === undefined ? {} : { authToken: server.auth_token }),
    allowedHosts: server.allowed_hosts,
    allowedOrigins: server.allowed_origins,
    trustedProxies: server.trusted_proxies,
    headersTimeoutMs: server.headers_timeout_ms,
    bodyTimeoutMs: server.body_timeout_ms,
    heartbeatMs: server.heartbeat_ms,
    slowReaderMs: server.slow_reader_ms,
    shutdownGraceMs: server.shutdown_grace_ms,
  };
}

/** The gate's numbers; evaluations take the shipped ones from here. */
export function resolveGate(gate: FileSettings['gate']): GateConfig {
  return {
    maxHoldTokens: gate.max_hold_tokens,
    maxHoldMs: gate.max_hold_ms,
    maxFormatMs: gate.max_format_ms,
    maxFormatBytes: gate.max_format_bytes,
  };
}

function resolveBudgets(budgets: FileSettings['budgets']['local']): TierBudgets {
  return {
    connectMs: budgets.connect_ms,
    firstTokenMs: budgets.first_token_ms,
    idleMs: budgets.idle_ms,
    totalMs: budgets.total_ms,
  };
}

function resolveLimits(limits: FileSettings['limits']): LimitsConfig {
  return {
    bodyBytes: limits.body_bytes,
    bodyDepth: limits.body_depth,
    messages: limits.messages,
    tools: limits.tools,
    upstreamEventBytes: limits.upstream_event_bytes,
    answerBytes: limits.answer_bytes,
    answerTokens: limits.answer_tokens,
    concurrency: limits.concurrency,
    queue: limits.queue,
    queueWaitMs: limits.queue_wait_ms,
    failedAuthPerMinute: limits.failed_auth_per_minute,
    fetchImages: limits.fetch_images,
  };
}

function resolveRecords({ records, database_url: url }: FileSettings, findings: Findings): RecordsConfig {
  const { capture, capture_retention_days: days } = records;
  const captureLocal = url === undefined || isPrivateHost(new URL(url).hostname);
  if (capture && !records.enabled) findings.problem(['records', 'capture'], 'needs records.enabled');
  if (capture) {
    const except = captureLocal
      ? ''
      : ', except for requests in mode local, as the database is beyond your own network';
    findings.warning(
      `Prompts and answers are kept for ${days} ${days === 1 ? 'day' : 'days'}${except} (records.capture).`,
    );
  }
  return {
    enabled: records.enabled,
    retentionDays: records.retention_days,
    maxRows: records.max_rows,
    capture,
    captureRetentionDays: days,
    captureLocal,
  };
}

function resolveTelemetry(telemetry: FileSettings['telemetry'], findings: Findings): TelemetryConfig {
  const { otlp_endpoint: endpoint, otlp_headers: otlpHeaders, allow_remote: allowRemote } = telemetry;
  if (endpoint !== undefined && !allowRemote && !isPrivateHost(new URL(endpoint).hostname)) {
    findings.problem(
      ['telemetry', 'otlp_endpoint'],
      'is beyond your own network: set telemetry.allow_remote to true if traces may go there',
    );
  }
  return { ...(endpoint === undefined ? {} : { otlpEndpoint: endpoint }), otlpHeaders, allowRemote };
}

function resolveEmbedded(embedded: FileSettings['embedded'], dataDir: string, origin: Origin): EmbeddedConfig {
  const { model } = embedded;
  return {
    enabled: model !== 'none',
    model: isModelPath(model) ? fromFile(model, origin) : model,
    modelsDir: embedded.models_dir === undefined ? join(dataDir, 'models') : fromFile(embedded.models_dir, origin),
    ...(embedded.model_base_url === undefined ? {} : { modelBaseUrl: embedded.model_base_url }),
    contextTokens: embedded.context_tokens,
    slots: embedded.slots,
    ...(embedded.threads === undefined ? {} : { threads: embedded.threads }),
    gpu: embedded.gpu,
  };
}

function dataFolder(configured: string | undefined, origin: Origin): string {
  if (configured !== undefined) return fromFile(configured, origin);
  const base = origin.env['XDG_DATA_HOME'] ?? join(home(origin), '.local', 'share');
  return join(base, 'lfo');
}

/** Relative paths of the file start at its folder; those of the environment are absolute already. */
function fromFile(path: string, origin: Origin): string {
  const expanded = path === '~' || path.startsWith('~/') ? join(home(origin), path.slice(1)) : path;
  return resolve(origin.file === undefined ? origin.cwd : dirname(origin.file), expanded);
}

function home({ env }: Origin): string {
  return env['HOME'] ?? homedir();
}
