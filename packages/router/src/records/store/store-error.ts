/** A database operation failed; `code` is the database's own, or one of ours. The message names no values and no host. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }

  /** Whether the database works and refuses what it was given: the same again is refused again. */
  get refusesRows(): boolean {
    return refusals.has(this.code) || postgresRefusal.test(this.code);
  }
}

const refusals: ReadonlySet<string> = new Set([
  'STORE_VALUE',
  'SQLITE_CONSTRAINT',
  'SQLITE_TOOBIG',
  'SQLITE_MISMATCH',
  'SQLITE_RANGE',
]);

/** Data exceptions, violated constraints and limits of the program (PostgreSQL, appendix A). */
const postgresRefusal = /^(22|23|54)[0-9A-Z]{3}$/;
