/** Values SQLite stores. */
export type SqlValue = string | number | bigint | null;

/** What the store asks its worker thread; answers come in order. */
export type SqliteRequest =
  /** First, and once. */
  | { readonly type: 'open'; readonly file: string; readonly readOnly: boolean }
  | { readonly type: 'query'; readonly sql: string; readonly parameters: readonly SqlValue[] }
  /** One statement run for each row, those sent before included, all in one transaction. */
  | { readonly type: 'batch'; readonly sql: string; readonly rows: readonly (readonly SqlValue[])[] };

/** What the store tells its worker thread without asking for an answer: rows of the batch that comes next. */
export interface SqliteRows {
  readonly type: 'rows';
  readonly rows: readonly (readonly SqlValue[])[];
}

export type SqliteAnswer =
  | {
      readonly type: 'done';
      readonly rows: readonly Readonly<Record<string, unknown>>[];
      readonly changes: bigint;
      readonly lastId: bigint;
    }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };
