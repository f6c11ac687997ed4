/** One value kept under a key. */
export interface JournalEntry {
  readonly key: string;
  readonly value: string;
}

/** Keeps what memory holds across a restart; the oldest entries beyond its room are dropped. */
export interface Journal {
  /** Oldest first. Rejects while the database cannot be reached. */
  load(): Promise<readonly JournalEntry[]>;
  /** Those of these keys that are kept, others' included; absent where nobody else writes. Rejects as `load` does. */
  readonly find?: ((keys: readonly string[]) => Promise<readonly JournalEntry[]>) | undefined;
  /** Never waits. */
  append(entry: JournalEntry): void;
}
