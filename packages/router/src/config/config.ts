import type { Tier } from '../core/request.ts';

/** Everything LFO can be told, resolved: environment over `lfo.yaml` over defaults. Durations in milliseconds. */
export interface LfoConfig {
  readonly server: ServerConfig;
  readonly routing: RoutingConfig;
  readonly gate: GateConfig;
  readonly budgets: Readonly<Record<Tier, TierBudgets>>;
  readonly limits: LimitsConfig;
  readonly retry: RetryConfig;
  readonly breaker: BreakerConfig;
  readonly records: RecordsConfig;
  readonly telemetry: TelemetryConfig;
  readonly embedded: EmbeddedConfig;
  /** By model, in US dollars a million tokens; before the shipped list prices. */
  readonly prices: Readonly<Record<string, ModelPrice>>;
  /** In the order of the file; the implied `gemini` (from `GEMINI_API_KEY`) last. */
  readonly backends: readonly BackendConfig[];
  /** Folder for the database, device keys and, unless moved, models; 0700. */
  readonly dataDir: string;
  /** PostgreSQL; absent: SQLite in `dataDir`. */
  readonly databaseUrl?: string;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /** `LFO_OFFLINE=1`: no model is fetched either. */
  readonly offline: boolean;
  /** The file read, if any. */
  readonly file?: string;
  /** A phone the router is to dial (`ANDROID_HOST`). */
  readonly android?: { readonly host: string; readonly port: number };
  /** What deserves a word at the start though nothing is wrong; sentences without secrets. */
  readonly warnings: readonly string[];
}

export interface ServerConfig {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Bearer key of `LFO_AUTH_TOKEN`. */
  readonly authToken?: string;
  /** Host header names accepted besides localhost, 127.0.0.1 and [::1]. */
  readonly allowedHosts: readonly string[];
  /** Origins allowed by CORS; empty: none. */
  readonly allowedOrigins: readonly string[];
  /** Addresses whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  /** Comment frames while a backend is silent; at most 15,000. */
  readonly heartbeatMs: number;
  /** A stream whose reader takes nothing for this long is cut. */
  readonly slowReaderMs: number;
  /** After SIGTERM, running requests have this long. */
  readonly shutdownGraceMs: number;
}

export interface RoutingConfig {
  readonly maxLocalTokens: number;
  /** 0..1 */
  readonly confidenceThreshold: number;
  /** Longest acceptable predicted wait for the first local token in `auto`. */
  readonly firstTokenBudgetMs: number;
}

export interface GateConfig {
  /** Tokens of streamed text held before the gate must decide. */
  readonly maxHoldTokens: number;
  /** From the first token of streamed text, or of a streamed call. */
  readonly maxHoldMs: number;
  /** From the first token of a streamed answer in a promised format (JSON, a demanded call). */
  readonly maxFormatMs: number;
  readonly maxFormatBytes: number;
}

/** Time budgets of one attempt. */
export interface TierBudgets {
  /** DNS, TCP and TLS together. */
  readonly connectMs: number;
  /** To the first content; extended only by the backend's keep-alives. */
  readonly firstTokenMs: number;
  /** Between two chunks. */
  readonly idleMs: number;
  readonly totalMs: number;
}

export interface LimitsConfig {
  readonly bodyBytes: number;
  /** Nesting of a JSON body. */
  readonly bodyDepth: number;
  readonly messages: number;
  readonly tools: number;
  /** One line or event of an upstream stream. */
  readonly upstreamEventBytes: number;
  readonly answerBytes: number;
  readonly answerTokens: number;
  /** Requests running at once, then waiting. */
  readonly concurrency: number;
  readonly queue: number;
  readonly queueWaitMs: number;
  /** Wrong keys a minute from one address before 429. */
  readonly failedAuthPerMinute: number;
  /** `http(s)` image URLs are refused unless true. */
  readonly fetchImages: boolean;
}

export interface RetryConfig {
  /** Further calls of one request to backends that have failed it. */
  readonly maxRetries: number;
  /** Such calls, allowed as a share of requests. */
  readonly budgetRatio: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** A longer Retry-After is passed to the client instead of waited for. */
  readonly maxRetryAfterMs: number;
}

export interface BreakerConfig {
  /** Failures in a row that open it. */
  readonly failures: number;
  /** First open time; doubles up to `maxOpenMs`. */
  readonly openMs: number;
  readonly maxOpenMs: number;
}

/** What is remembered of requests, and how long. */
export interface RecordsConfig {
  readonly enabled: boolean;
  readonly retentionDays: number;
  readonly maxRows: number;
  /** Whether prompts and answers are kept too. */
  readonly capture: boolean;
  readonly captureRetentionDays: number;
  /** False where the database may be beyond the own network: requests in mode `local` are not captured then. */
  readonly captureLocal: boolean;
}

/** Where traces go. */
export interface TelemetryConfig {
  /** Without `/v1/traces`; absent: nowhere. */
  readonly otlpEndpoint?: string;
  readonly otlpHeaders: Readonly<Record<string, string>>;
  /** The endpoint may be beyond the own network; requests in mode `local` are then left out. */
  readonly allowRemote: boolean;
}

export interface ModelPrice {
  readonly prompt: number;
  /** Prompt tokens served from a cache. */
  readonly cached: number;
  /** Reasoning included. */
  readonly completion: number;
}

/** The embedded model; absent with `LFO_LOCAL_MODEL=none`. */
export interface EmbeddedConfig {
  readonly enabled: boolean;
  /** Catalogue name, path of a GGUF file, or `hf:owner/repo/file`. */
  readonly model: string;
  readonly modelsDir: string;
  /** Mirror of the model hub (`LFO_MODEL_BASE_URL`). */
  readonly modelBaseUrl?: string;
  readonly contextTokens: number;
  readonly slots: number;
  /** Absent: one fewer than the cores. */
  readonly threads?: number;
  readonly gpu: 'auto' | 'none';
}

export type BackendConfig = HttpBackendConfig | GeminiBackendConfig;

export interface HttpBackendConfig {
  readonly kind: 'openai-compatible';
  readonly name: string;
  readonly tier: Tier;
  /** With the `/v1`. */
  readonly baseUrl: string;
  readonly apiKeys: readonly string[];
  /** Empty: asked from the server's model list. */
  readonly models: readonly string[];
  readonly contextTokens?: number;
  /** What the server is known to offer; absent: probed or assumed. */
  readonly capabilities: {
    readonly tools?: boolean;
    readonly logprobs?: boolean;
    readonly jsonSchema?: boolean;
    readonly images?: boolean;
  };
  /** Requests at once. */
  readonly concurrency: number;
  /** Which shims a server needs. */
  readonly dialect: 'standard' | 'google';
  /** Other models of this backend tried in order when one fails. */
  readonly fallbackModels: readonly string[];
}

export interface GeminiBackendConfig {
  readonly kind: 'gemini';
  readonly name: string;
  readonly tier: 'cloud';
  readonly baseUrl: string;
  /** At least one; rotated on 429 and 401. */
  readonly apiKeys: readonly string[];
  /** `api_key` header, or `bearer` for Vertex AI (no ids on function calls there). */
  readonly auth: 'api_key' | 'bearer';
  readonly models: readonly string[];
  readonly concurrency: number;
  readonly fallbackModels: readonly string[];
}
