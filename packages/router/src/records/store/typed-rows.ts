/** Rows as the type that kysely promised when the query was built; nothing is checked. */
export function typedRows<R>(rows: readonly unknown[]): R[];
export function typedRows(rows: readonly unknown[]): unknown[] {
  return [...rows];
}
