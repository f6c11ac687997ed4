/** Unix milliseconds at which an id was made; `undefined` for what is none. */
export function timeOfId(id: string): number | undefined {
  const hex = /^([0-9a-f]{8})-([0-9a-f]{4})-7/.exec(id);
  return hex === null ? undefined : parseInt(`${hex[1]}${hex[2]}`, 16);
}

/** The smallest id of a moment: ids begin with their time (RFC 9562, UUIDv7). */
export function firstIdAt(timeMs: number): string {
  const hex = Math.max(0, Math.floor(timeMs)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

/** The id of a request as people and programs have it: as it is, with blanks around it, or as an answer's `chatcmpl-…`. */
export function bareId(asked: string): string {
  return asked
    .trim()
    .toLowerCase()
    .replace(/^[a-z]+[_-]/, '');
}
