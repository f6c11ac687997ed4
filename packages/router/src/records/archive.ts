import type { RecordGap } from './history.ts';
import type { RequestRow } from './tables.ts';

/** What was recorded, for programs beside a running router. @throws ArchiveError from every method */
export interface Archive {
  summary(sinceMs: number): Promise<Summary>;
  /** The newest arrival first. */
  requests(filter: ArchiveFilter, limit: number): AsyncIterable<RequestRow>;
  /** Texts of a request's messages; `undefined` where they were not kept. */
  texts(id: string): Promise<readonly string[] | undefined>;
  /** Writes a copy of the database, as it is at one moment, to a file that does not exist. SQLite alone. */
  backup(file: string): Promise<void>;
  /** Gives the room of deleted rows back to the file system; takes minutes for gigabytes. */
  vacuum(): Promise<void>;
  /** Brings the schema up to date; resolves with the name of the last step. */
  migrate(): Promise<string>;
  close(): Promise<void>;
}

/** Absent fields do not filter. */
export interface ArchiveFilter {
  readonly sinceMs?: number;
  readonly route?: string;
  readonly backend?: string;
  readonly reason?: string;
  readonly status?: number;
}

export interface Summary {
  readonly requests: number;
  /** Answered by each tier. */
  readonly local: number;
  readonly cloud: number;
  /** Not answered; clients that left are not counted. */
  readonly failed: number;
  readonly escalated: number;
  readonly degraded: number;
  /** Of those answered, 0..1; `null` without any. */
  readonly localShare: number | null;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly costUsd: number;
  readonly costAvoidedUsd: number;
  readonly latencyMs: { readonly local: Durations; readonly cloud: Durations };
  readonly firstTokenMs: { readonly local: Durations; readonly cloud: Durations };
  /** When rows were lost: everything above falls short by these. The oldest first. */
  readonly gaps: readonly RecordGap[];
}

/** Milliseconds, within 5 %; `null` without any. */
export interface Durations {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** The database cannot be read or written; the message says what to do. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}
