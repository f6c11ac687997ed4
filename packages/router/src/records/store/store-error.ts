/** A database operation failed; `code` is the database's own, or `STORE_CLOSED`. The message names no values and no host. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
