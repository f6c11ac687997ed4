import type { FinalVerdict } from './confidence.ts';
import type { LfoError } from './errors.ts';
import type { InferenceEvent } from './events.ts';
import type { ChatRequest } from './request.ts';
import type { AttemptTrace, RequestTrace } from './trace.ts';

/** How a response ended. */
export interface Delivery {
  /** What the client saw, or 499 where it left. A failure after the head was sent keeps 200. */
  readonly status: number;
  /** What went wrong, if anything did. */
  readonly error?: LfoError;
}

/**
 * Where one answer goes: a dialect's way to its client, and the owner of the commit point. A failure becomes the
 * client's error; nothing here throws.
 */
export interface AnswerWriter {
  /** A byte of the answer has left: no other answer may follow. */
  readonly committed: boolean;
  /**
   * Takes the next events of the answer; a promise asks to wait until the client has read. The trace must tell the
   * route of what is written. A unary writer keeps the events until `end`.
   */
  write(events: readonly InferenceEvent[]): Promise<void> | undefined;
  /** The answer is whole and the trace complete; resolves when its last byte has left or the client is gone. */
  end(): Promise<Delivery>;
  /** There is no answer, or no more of it. */
  fail(error: unknown): Promise<Delivery>;
}

/** Follows every request from beside: live feed, records, metrics. Neither waits nor throws. */
export interface RequestSink {
  /** A request has arrived; its trace is written while it runs. Undefined: it is enough to hear of its end. */
  begin?(request: ChatRequest, trace: RequestTrace): RequestFollower | undefined;
  /** Those that ended of late, in that order; a few times a second, and before the process ends. */
  settle?(ended: readonly EndedRequest[]): void;
}

/** One sink's view of one request while it runs. */
export interface RequestFollower {
  /** Events on their way to the client. */
  wrote?(events: readonly InferenceEvent[]): void;
  /** Events of an answer that is held back, as they come, and in the end what the gate says of it. */
  held?(events: readonly InferenceEvent[], attempt: AttemptTrace, verdict: FinalVerdict | undefined): void;
  /** Once, whatever the end; the trace is complete. */
  ended(delivery: Delivery): void;
}

/** A request that has ended; its trace is not written to any more. */
export interface EndedRequest {
  readonly trace: RequestTrace;
  readonly delivery: Delivery;
  /** Id of the key it came with. */
  readonly clientKey: string | undefined;
}
