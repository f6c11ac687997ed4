/** One value kept under a key. */
export interface JournalEntry {
  readonly key: string;
  readonly value: string;
}

/** Keeps what memory holds across a restart; the oldest entries beyond its room are dropped. */
export interface Journal {
  /** Oldest first. Rejects while the database cannot be reached. */
  load(): Promise<readonly JournalEntry[]>;
  /** Never waits. */
  append(entry: JournalEntry): void;
}
