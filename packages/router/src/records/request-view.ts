import type { Reason } from '../core/reason.ts';
import type { Mode, Tier } from '../core/request.ts';

/**
 * One request as the dashboard shows it, running or stored: the same shape for both. Times are milliseconds since its
 * arrival, `null` is not known (yet). No text of prompt or answer.
 */
export interface RequestView {
  readonly id: string;
  /** Unix milliseconds of arrival. */
  readonly timeMs: number;
  readonly state: 'running' | 'answering' | 'done';
  /** Id of its key; `null` where none is known. */
  readonly clientKey: string | null;
  /** Name of the device that answered. */
  readonly device: string | null;
  /** Name of the router that served it. */
  readonly router: string | null;
  /** Wire it came by. */
  readonly dialect: string | null;
  /** Pattern of its route, where the server itself refused it. */
  readonly path: string | null;
  /** Tools it offered. */
  readonly tools: number | null;
  /** Refused before anything was tried for it. */
  readonly isTurnedAway: boolean;
  /** Trace of the request at the LFO that passed it on; `null` where its client asked here. */
  readonly traceId: string | null;
  /** `null` where it was refused before that was known. */
  readonly mode: Mode | null;
  readonly stream: boolean;
  /** As the client saw it; 499 when it had left. */
  readonly status: number | null;
  readonly errorCode: string | null;
  readonly errorSource: 'lfo' | 'upstream' | null;
  readonly route: Tier | null;
  readonly backend: string | null;
  readonly model: string | null;
  readonly reason: Reason | null;
  readonly reasons: readonly Reason[];
  readonly degraded: boolean;
  /** Score of the answer that was given, 0..1. */
  readonly confidence: number | null;
  readonly threshold: number;
  readonly routedTokens: number | null;
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly reasoningTokens: number | null;
  readonly cachedTokens: number | null;
  readonly costUsd: number | null;
  readonly costAvoidedUsd: number | null;
  readonly finishReason: string | null;
  readonly totalMs: number | null;
  readonly firstTokenMs: number | null;
  readonly committedMs: number | null;
  readonly overheadMs: number | null;
  /** What routing took the wait for the first local token for, and what it was. */
  readonly predictedWaitMs: number | null;
  readonly waitMs: number | null;
  /** Names of the parameters that were not honoured. */
  readonly warnings: readonly string[];
  readonly attempts: readonly AttemptView[];
}

/** One try at one backend. */
export interface AttemptView {
  readonly tier: Tier;
  readonly backend: string | null;
  readonly model: string | null;
  readonly startMs: number;
  readonly leasedMs: number | null;
  readonly firstEventMs: number | null;
  readonly endMs: number | null;
  readonly outcome: 'answered' | 'escalated' | 'failed' | 'cancelled' | null;
  readonly reason: Reason | null;
  /** 0..1 */
  readonly score: number | null;
  readonly errorCode: string | null;
  readonly errorStatus: number | null;
  readonly heldMs: number | null;
  readonly heldTokens: number | null;
}

/** What is held back of an answer while it is judged, told to who asked for it; and the verdict once it is there. */
export interface HeldView {
  /** Of the request. */
  readonly id: string;
  readonly backend: string | null;
  readonly model: string | null;
  /** Milliseconds from the arrival until the backend had it. */
  readonly afterMs: number;
  /** Appended to what came before. */
  readonly text: string;
  readonly verdict: {
    readonly isKept: boolean;
    readonly score: number | null;
    readonly reason: Reason;
    readonly threshold: number;
  } | null;
}

/** Since the process started; `running` is now. */
export interface LiveCounters {
  readonly started: number;
  readonly running: number;
  readonly local: number;
  readonly cloud: number;
  /** Tried locally first, then answered by the cloud. */
  readonly escalated: number;
  /** Ended without an answer; clients that left are not counted. */
  readonly failed: number;
}

/** Prompt and answer of one request, kept only where `records.capture` is on. */
export interface Capture {
  /** As the client sent them; the newest are kept whole first. */
  readonly messages: readonly CapturedMessage[];
  /** Names of the tools that were offered. */
  readonly tools: readonly string[];
  readonly answer: CapturedAnswer;
  /** Some text was longer than what is kept. */
  readonly isCut: boolean;
}

export interface CapturedMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly text: string;
  /** Kinds of the parts besides text, which are not kept: `image`, `audio`, `file`. */
  readonly attachments: readonly string[];
  readonly calls: readonly CapturedCall[];
}

export interface CapturedCall {
  readonly name: string;
  /** JSON text as it was written. */
  readonly arguments: string;
}

/** What the client was sent, whole or up to where it ended. */
export interface CapturedAnswer {
  readonly text: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly calls: readonly CapturedCall[];
}
