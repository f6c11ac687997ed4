/** Placeholder until the next commit. */
export function tablesReport(_data: URL): string {
  return '';
}
