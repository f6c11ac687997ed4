import type { JudgedAnswerRow, JudgedFilter } from './queries/judged.ts';
import type { RecordedUse } from './queries/steering-data.ts';
import type { AttemptView } from './request-view.ts';
import type { UsageDimension } from './store/usage-roll-up.ts';
import type { RequestRow } from './tables.ts';

/** What was recorded, for programs beside a running router. @throws ArchiveError from every method */
export interface Archive {
  summary(sinceMs: number, by?: UsageDimension): Promise<GroupedSummary>;
  /** One request by its id, or by the last eight characters or more of it. */
  find(id: string): Promise<ArchivedRequest | undefined>;
  /** Names of the keys that were given out, by id. */
  keyNames(): Promise<ReadonlyMap<string, string>>;
  /** The newest arrival first. */
  requests(filter: ArchiveFilter, limit: number): AsyncIterable<RequestRow>;
  /** Texts of a request's messages; `undefined` where they were not kept. */
  texts(id: string): Promise<readonly string[] | undefined>;
  /** What the judge said of local answers, with the best label of each; the newest first. */
  judged(filter: JudgedFilter): Promise<readonly JudgedAnswerRow[]>;
  /** Prices and times of what the cloud answered lately. */
  prices(nowMs: number): Promise<Pick<RecordedUse, 'cloudAnswerUsd' | 'cloudAnswerMs'>>;
  /** Writes a copy of the database, as it is at one moment, to a file that does not exist. SQLite alone. */
  backup(file: string): Promise<void>;
  /** Gives the room of deleted rows back to the file system; takes minutes for gigabytes. */
  vacuum(): Promise<void>;
  /** Brings the schema up to date; resolves with the name of the last step. */
  migrate(): Promise<string>;
  close(): Promise<void>;
}

/** A request and its attempts, read. */
export interface ArchivedRequest {
  readonly row: RequestRow;
  readonly attempts: readonly AttemptView[];
}

/** Absent fields do not filter. */
export interface ArchiveFilter {
  readonly sinceMs?: number;
  readonly route?: string;
  readonly backend?: string;
  readonly reason?: string;
  readonly status?: number;
  /** Id of a key. */
  readonly key?: string;
  readonly model?: string;
  readonly outcome?: 'ok' | 'failed' | 'refused' | 'left' | 'degraded' | 'escalated';
}

/** `requests` is `answered + failed + refused + left`, and `answered` is `local + cloud`. */
export interface Summary {
  readonly requests: number;
  readonly answered: number;
  /** Answered by each tier. */
  readonly local: number;
  readonly cloud: number;
  /** Not answered for any other reason than the next two. */
  readonly failed: number;
  /** By LFO itself, before anything was tried: quotas, unknown models, requests that cannot be read. */
  readonly refused: number;
  /** Their client did not wait for the end. */
  readonly left: number;
  /** Of `cloud`: after a local attempt. */
  readonly escalated: number;
  /** Of `local`: given though it did not pass. */
  readonly degraded: number;
  /** Of those answered, 0..1; `null` without any. */
  readonly localShare: number | null;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly costUsd: number;
  /** What the first cloud model would have asked for the local answers. */
  readonly savedUsd: number;
  /** Spent in the local attempts of those escalated. */
  readonly escalatedLocalMs: number;
  /** Mean wait for the local first token as routing predicted it and as it was; `null` without any prediction. */
  readonly predictedWaitMs: number | null;
  readonly waitMs: number | null;
  readonly latencyMs: SeriesDurations;
  readonly firstTokenMs: SeriesDurations;
}

/** `cloud` are answers that it gave at once; those after a local attempt are apart. */
export type SeriesDurations = Readonly<Record<'local' | 'cloud' | 'escalated' | 'all', Durations>>;

/** What the requests of one key, model, backend or device were; `null` for those without. */
export interface SummaryGroup extends Summary {
  readonly key: string | null;
}

export interface GroupedSummary extends Summary {
  /** The largest first; empty where no dimension was asked for. */
  readonly groups: readonly SummaryGroup[];
  /** When rows were lost: everything above falls short by these. The oldest first. */
  readonly gaps: readonly RecordGap[];
}

/** Milliseconds, within 5 %; `null` without any. */
export interface Durations {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** A time in which requests were served but not recorded. */
export interface RecordGap {
  /** Unix milliseconds of the first and the last loss. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** Requests whose rows are lost. */
  readonly requests: number;
}

/** The database cannot be read or written; the message says what to do. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}
