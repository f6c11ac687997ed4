import { createHash } from 'node:crypto';

/** The trace of a request, as W3C Trace Context has it: found by the request's id. */
export function traceIdOf(requestId: string): string {
  return requestId.replaceAll('-', '');
}

/** The id of one part of a request's trace; 16 hex digits. */
export function spanIdOf(requestId: string, part: string): string {
  return createHash('sha256').update(`${requestId}/${part}`).digest('hex').slice(0, 16);
}
