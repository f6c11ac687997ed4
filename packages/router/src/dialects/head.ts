import { fourDigits } from '../core/four-digits.ts';
import type { RequestTrace } from '../core/trace.ts';
import { egressOf, milliseconds } from './metadata.ts';

/** Names and values of a response head, ready for `writeHead`. */
export type Head = Record<string, string | number>;

/**
 * The `x-lfo-*` headers as far as they are known now.
 * @param isDecided whether the answer that is to follow is known, or that there is none
 */
export function lfoHeaders(trace: RequestTrace, isDecided = true): Head {
  const egress = isDecided || trace.mode === 'local' ? egressOf(trace) : 'undecided';
  const head: Head = { 'x-request-id': trace.id, 'x-lfo-egress': egress };
  if (trace.router !== undefined) head['x-lfo-router'] = trace.router;
  if (trace.route !== undefined) head['x-lfo-route'] = trace.route;
  if (trace.reason !== undefined) head['x-lfo-reason'] = trace.reason;
  if (trace.confidence !== undefined) head['x-lfo-confidence'] = String(fourDigits(trace.confidence));
  if (trace.overheadMs !== undefined) head['x-lfo-overhead-ms'] = String(milliseconds(trace.overheadMs));
  if (trace.warnings.size > 0) head['x-lfo-warning'] = warningHeader(trace.warnings);
  return head;
}

/** The headers of an event stream that no proxy may hold back. */
export function streamHead(trace: RequestTrace, isDecided: boolean): Head {
  return {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
    ...lfoHeaders(trace, isDecided),
  };
}

/** Names come from clients at times: whatever a header cannot hold is replaced. */
function warningHeader(warnings: ReadonlyMap<string, string>): string {
  const text = [...warnings].map(([param, why]) => `${param}: ${why}`).join('; ');
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1000);
}
