import type { Clock } from '../core/clock.ts';
import type { LfoError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatExchange } from '../core/exchange.ts';
import type { RequestTrace } from '../core/trace.ts';

/** The operator's numbers for one response, and time. */
export interface RespondOptions {
  readonly clock: Clock;
  /** Longest silence of a stream before a comment frame. */
  readonly heartbeatMs: number;
  /** A client that takes nothing for this long is cut off. */
  readonly slowReaderMs: number;
}

/** How the response ended, for records and logs. */
export interface Delivery {
  /** What the client saw, or 499 where it left. A failure after the head was sent keeps 200. */
  readonly status: number;
  /** What went wrong, if anything did. */
  readonly error?: LfoError;
}

/**
 * Writes the events of one answer as a completion or as chunks. Never throws: a failure becomes the client's error.
 * Reads `trace` for headers and `lfo_metadata`: as it stands when the head is written, and again at the end.
 */
export async function respond(
  _exchange: ChatExchange,
  _events: AsyncIterable<InferenceEvent>,
  _trace: RequestTrace,
  _options: RespondOptions,
): Promise<Delivery> {
  throw new Error('not written yet');
}
