import type { GeminiEntry, OpenAiCompatibleEntry } from './backend-schema.ts';
import type { FileSettings } from './schema.ts';

/** Lists and groups that nobody changes, all the way down. */
type Immutable<T> = T extends readonly (infer Item)[]
  ? readonly Immutable<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Immutable<T[Key]> }
    : T;

/**
 * Everything LFO can be told, resolved: environment over `lfo.yaml` over defaults. What each setting means is in
 * `schema.ts`; here is what comes of several together.
 */
export type LfoConfig = Immutable<
  Omit<FileSettings, 'android' | 'backends' | 'dataDir' | 'embedded' | 'records'> & {
    readonly embedded: Omit<FileSettings['embedded'], 'embeddingModel'> & {
      /** False with `LFO_LOCAL_MODEL=none`. */
      readonly enabled: boolean;
      /** Absent: there is none. */
      readonly embeddingModel?: string;
      readonly modelsDir: string;
    };
    readonly records: FileSettings['records'] & {
      /** False where the database may be beyond the own network: requests in mode `local` are not captured then. */
      readonly captureLocal: boolean;
    };
    /** In the order of the file; the implied `gemini` (from `GEMINI_API_KEY`) last. */
    readonly backends: readonly BackendConfig[];
    /** Folder for the database, keys and, unless moved, models; 0700. */
    readonly dataDir: string;
    /** The file read, if any. */
    readonly file?: string;
    /** Where settings came from, by their path in the file: `lfo.yaml:3` or a variable; else they are defaults. */
    readonly origins: Readonly<Record<string, string>>;
    /** The `${…}` that stands for each secret, by its path. */
    readonly references: Readonly<Record<string, string>>;
    /** What deserves a word at the start though nothing is wrong; sentences without secrets. */
    readonly warnings: readonly string[];
  }
>;

export type { Rule } from './rules-schema.ts';
export type ServerConfig = LfoConfig['server'];
export type GateConfig = LfoConfig['gate'];
/** Time budgets of one attempt. */
export type TierBudgets = LfoConfig['budgets']['local'];
export type LimitsConfig = LfoConfig['limits'];
export type RetryConfig = LfoConfig['retry'];
export type BreakerConfig = LfoConfig['breaker'];
export type RecordsConfig = LfoConfig['records'];
export type TelemetryConfig = LfoConfig['telemetry'];
export type FleetConfig = LfoConfig['fleet'];
export type EmbeddedConfig = LfoConfig['embedded'];

export type BackendConfig = HttpBackendConfig | GeminiBackendConfig;

/** Each of the keys takes its turn; `baseUrl` is without a slash at its end. */
interface Reached {
  readonly baseUrl: string;
  readonly apiKeys: readonly string[];
}

/** A server that speaks OpenAI's wire; of kind `lfo` it is another LFO. */
export type HttpBackendConfig = Immutable<
  Omit<OpenAiCompatibleEntry, 'kind' | 'apiKey' | 'baseUrl'> &
    Reached & { readonly kind: OpenAiCompatibleEntry['kind'] | 'lfo' }
>;

/** With at least one key and one model. */
export type GeminiBackendConfig = Immutable<
  Omit<GeminiEntry, 'apiKey' | 'baseUrl' | 'embeddingModels'> &
    Reached & { readonly embeddingModels: readonly string[] }
>;
