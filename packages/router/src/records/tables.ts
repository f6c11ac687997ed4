import type { Kysely } from 'kysely';

/** One finished request, without any text of prompt or answer. JSON columns hold text. Absent is `null`. */
export interface RequestRow {
  /** UUIDv7. */
  readonly id: string;
  /** Unix milliseconds of arrival. */
  readonly time_ms: number;
  /** Id of the client's key, never the key. */
  readonly client_key: string | null;
  readonly mode: string;
  readonly stream: 0 | 1;
  /** As the client saw it; 499 when it had left. */
  readonly status: number;
  readonly error_code: string | null;
  readonly error_source: string | null;
  readonly route: string | null;
  readonly backend: string | null;
  /** Resolved; what the client asked for is kept only where it names a model we know. */
  readonly model: string | null;
  readonly reason: string | null;
  /** JSON: reason codes, the decisive one first. */
  readonly reasons: string;
  /** JSON: attempts with times relative to arrival. */
  readonly attempts: string;
  readonly degraded: 0 | 1;
  readonly confidence: number | null;
  readonly threshold: number;
  /** JSON: what the policies knew, for replays. */
  readonly features: string | null;
  /** JSON: what the judge saw; of older rows alone, now in `judgements`. */
  readonly signals: string | null;
  /** As routing saw the prompt. */
  readonly routed_tokens: number | null;
  readonly routed_tokens_from: string | null;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly reasoning_tokens: number | null;
  readonly cached_tokens: number | null;
  readonly tokens_estimated: 0 | 1;
  readonly cost_usd: number | null;
  readonly cost_avoided_usd: number | null;
  readonly finish_reason: string | null;
  readonly native_finish_reason: string | null;
  /** Milliseconds. */
  readonly total_ms: number | null;
  readonly first_token_ms: number | null;
  readonly committed_ms: number | null;
  /** Sum over the attempts. */
  readonly queue_ms: number | null;
  readonly local_ms: number | null;
  readonly cloud_ms: number | null;
  readonly held_ms: number | null;
  readonly overhead_ms: number | null;
  /** JSON: names of the parameters that were not honoured. */
  readonly warnings: string;
  /** What routing took the time to the first local token for, and what it was; `null` where either is not known. */
  readonly predicted_wait_ms: number | null;
  readonly wait_ms: number | null;
  /** Name of the device that answered. */
  readonly device: string | null;
  /** Name of the router that served it. */
  readonly router: string | null;
  /** Wire it came by. */
  readonly dialect: string | null;
  /** Pattern of its route, where it was refused by the server itself. */
  readonly path: string | null;
  /** Tools it offered. */
  readonly tools: number | null;
  /** Whether it was refused before anything was tried for it; such rows have a budget of their own. */
  readonly turned_away: 0 | 1;
  /** Trace of the request at the LFO that passed it on; `null` where its client asked here. */
  readonly trace_id: string | null;
}

/** Opaque provider state of a tool call, found by a digest that is scoped to the client's key. */
export interface SignatureRow {
  readonly key: string;
  readonly signature: string;
  readonly time_ms: number;
}

/** What somebody thought of one answer; the latest verdict on a request replaces earlier ones. */
export interface FeedbackRow {
  readonly request_id: string;
  readonly time_ms: number;
  /** Id of the key that said so. */
  readonly client_key: string;
  readonly verdict: 'good' | 'bad';
  readonly expected_route: 'local' | 'cloud' | null;
}

/** Prompt and answer of one request, only where `records.capture` is on. */
export interface CaptureRow {
  readonly request_id: string;
  readonly time_ms: number;
  /** JSON: `Capture`. */
  readonly words: string;
}

/** A key that was given out. JSON columns hold text. */
export interface KeyRow {
  readonly id: string;
  readonly name: string;
  /** SHA-256 of the key, hex. */
  readonly digest: string;
  /** JSON. */
  readonly scopes: string;
  /** JSON. */
  readonly tiers: string | null;
  /** JSON. */
  readonly models: string | null;
  /** JSON. */
  readonly limits: string;
  readonly created_ms: number;
  readonly expires_ms: number | null;
  readonly revoked_ms: number | null;
  /** Grows with each change of any key, so that routers see cheaply that there is news. */
  readonly version: number;
}

/** What one key used on one day (UTC). */
export interface KeyUsageRow {
  readonly key_id: string;
  /** Days since the Unix epoch. */
  readonly day: number;
  readonly requests: number;
  readonly tokens: number;
  readonly usd: number;
}

/**
 * Sums over the requests of one key, model, backend and device that arrived in one bucket: a minute at first, longer as
 * it ages. Kept by the database itself. An empty text where a request has no such thing.
 */
export interface UsageCountsRow {
  /** Unix milliseconds at which the bucket begins. */
  readonly bucket_ms: number;
  readonly client_key: string;
  readonly model: string;
  readonly backend: string;
  readonly device: string;
  /** Each is one of `local`, `cloud`, `failed`, `refused` and `left_early`. */
  readonly requests: number;
  /** Answered by each tier. */
  readonly local: number;
  readonly cloud: number;
  /** Not answered for any other reason than the next two. */
  readonly failed: number;
  /** By LFO itself, before anything was tried. */
  readonly refused: number;
  /** Their client did not wait for the end. */
  readonly left_early: number;
  /** Answered by the cloud after a local attempt. */
  readonly escalated: number;
  readonly degraded: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cost_usd: number;
  readonly cost_avoided_usd: number;
  /** Spent in the local attempts of those escalated. */
  readonly escalated_local_ms: number;
  /** Requests whose wait for the local first token was predicted and measured, and both sums. */
  readonly predictions: number;
  readonly predicted_wait_ms: number;
  readonly wait_ms: number;
}

/** One bin of a histogram of answered requests' durations in one bucket. Kept by the database itself. */
export interface UsageLatencyRow {
  readonly bucket_ms: number;
  readonly client_key: string;
  readonly model: string;
  readonly backend: string;
  readonly device: string;
  /** `local`, `cloud` (answered there at once) or `escalated`. */
  readonly series: string;
  readonly metric: 'total' | 'first_token';
  /** Geometric: seven bins a doubling, from 1 ms. */
  readonly bin: number;
  readonly count: number;
}

/** A time in which rows of requests were lost, because the database had refused them for too long. */
export interface RecordGapRow {
  readonly id: string;
  /** Unix milliseconds of the first and the last loss. */
  readonly from_ms: number;
  readonly until_ms: number;
  readonly requests: number;
}

/** What the judge said of one local answer. JSON columns hold text. */
export interface JudgementRow {
  /** `<request>.<attempt>` */
  readonly id: string;
  readonly request_id: string;
  /** Place among the attempts of its request. */
  readonly attempt: number;
  readonly time_ms: number;
  readonly client_key: string | null;
  readonly policy: 'judge' | 'observe' | 'shadow';
  readonly backend: string | null;
  readonly model: string;
  /** JSON: what the engine tells of the model. */
  readonly identity: string;
  readonly estimator: string;
  /** Hash of the calibration; `null` where none was used. */
  readonly calibration: string | null;
  /** The calibration stood in for a model it was not fitted on. */
  readonly is_prior: 0 | 1;
  readonly features_version: number | null;
  /** JSON: what the heads went by, and what they said. */
  readonly features: string;
  readonly heads: string;
  /** 0..1; `null` without evidence. */
  readonly score: number | null;
  readonly threshold: number;
  readonly verdict: 'commit' | 'escalate';
  readonly reason: string;
  /** Of the attempt. */
  readonly outcome: string | null;
  readonly local_ms: number | null;
}

/** One word on one local answer; none replaces another. */
export interface LabelRow {
  readonly id: string;
  readonly request_id: string;
  readonly attempt: number;
  readonly time_ms: number;
  readonly source: string;
  /** 1 right, 0 wrong. */
  readonly label: number;
  readonly weight: number;
  readonly propensity: number;
  readonly because: string | null;
}

/** How an invitation to pair stands. */
export interface PairingRow {
  readonly id: string;
  readonly state: string;
  readonly wrong: number;
  readonly expires_ms: number;
  readonly device: string | null;
  readonly why: string | null;
}

/** A paired device. */
export interface DeviceRow {
  readonly id: string;
  /** `null` once the device was removed. */
  readonly public_key: string | null;
  readonly name: string;
  readonly created_ms: number;
  readonly last_seen_ms: number | null;
  readonly last_address: string | null;
  readonly dial_host: string | null;
  readonly dial_port: number | null;
  /** JSON: `mac`, and `broadcast` and `timeout_ms` where they are not the usual. */
  readonly wake: string | null;
  readonly draining: 0 | 1;
}

/** A setting that was changed in the dashboard. */
export interface OverrideRow {
  /** As in `lfo.yaml`: `routing.confidence_threshold`. */
  readonly name: string;
  /** JSON. */
  readonly value: string;
  readonly time_ms: number;
  /** Id of the key that changed it. */
  readonly client_key: string | null;
}

/** A moment that charts mark: a start of a router, or a change of its configuration. */
export interface RouterEventRow {
  readonly id: string;
  readonly time_ms: number;
  readonly router: string;
  readonly kind: 'start' | 'configuration';
  /** What it was, in a few words. */
  readonly detail: string;
}

/** A browser that has logged in. */
export interface SessionRow {
  /** SHA-256 of the cookie, hex. */
  readonly token_digest: string;
  /** Whose key it was, so that it can be asked whether that is still good. */
  readonly key_ref: string;
  /** Unix milliseconds: when it ends however much it is used, and when it ends unused. */
  readonly ends_ms: number;
  readonly expires_ms: number;
}

/** Every table, as kysely sees it. */
export interface StoreTables {
  readonly requests: RequestRow;
  readonly signatures: SignatureRow;
  readonly feedback: FeedbackRow;
  readonly captures: CaptureRow;
  readonly usage_counts: UsageCountsRow;
  readonly usage_latency: UsageLatencyRow;
  readonly keys: KeyRow;
  readonly key_usage: KeyUsageRow;
  readonly record_gaps: RecordGapRow;
  readonly devices: DeviceRow;
  readonly pairings: PairingRow;
  readonly judgements: JudgementRow;
  readonly labels: LabelRow;
  readonly sessions: SessionRow;
  readonly overrides: OverrideRow;
  readonly router_events: RouterEventRow;
}

/**
 * The database behind records and keys. Opens when it is first used and again after it failed, so that a router starts
 * and serves without it; every method rejects while it cannot be reached, and none blocks the event loop.
 */
export interface Store {
  /** Typed queries. Transactions serialise with everything else. */
  readonly db: Kysely<StoreTables>;
  /**
   * Adds rows in one transaction. A row whose primary key exists is replaced when `replace` is set, else skipped, so
   * that a batch whose acknowledgement was lost can be sent again. The rows have the same columns, the primary key first.
   * Acknowledged rows survive the death of the process.
   */
  append<T extends keyof StoreTables>(table: T, rows: readonly StoreTables[T][], replace?: 'replace'): Promise<void>;
  /** Idempotent; what was asked before is finished first. */
  close(): Promise<void>;
}
