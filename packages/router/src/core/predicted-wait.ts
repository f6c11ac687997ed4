import type { BackendStatus, Rates } from './backend.ts';

/** Milliseconds until the first token, and what they are made of. */
export interface PredictedWait {
  /** Until one of its places is free. */
  readonly queueMs: number;
  /** What the first token takes whatever the prompt. */
  readonly fixedMs: number;
  /** Reading what of the prompt is not in its cache. */
  readonly prefillMs: number;
  readonly totalMs: number;
}

/** The part of a prompt that a backend must read. */
export interface PromptSize {
  readonly tokens: number;
  /** Of these, already in its cache. */
  readonly warmTokens: number;
}

/**
 * The one prediction of how long a backend takes to its first token, used to route, to explain and to balance. Undefined
 * until its rate of reading has been measured.
 */
export function predictWait(
  { prefillRate, fixedMs = 0 }: Rates,
  queueMs: number,
  { tokens, warmTokens }: PromptSize,
): PredictedWait | undefined {
  if (prefillRate === undefined || prefillRate <= 0) return undefined;
  const prefillMs = (Math.max(0, tokens - warmTokens) / prefillRate) * 1000;
  return { queueMs, fixedMs, prefillMs, totalMs: queueMs + fixedMs + prefillMs };
}

/** One request that a backend works on. */
export interface RunningRequest {
  readonly promptTokens: number;
  /** Monotonic. */
  readonly startMs: number;
}

/** Tokens of an answer that nobody has seen yet. */
const expectedAnswerTokens = 128;

/** Who has talked for long goes on for a little at least. */
const leastAnswerTokens = 16;

/**
 * Milliseconds until a place is free: the work ahead over the places. 0 while one is free; undefined where all are taken
 * and the backend's rates are not known. `waiting` counts requests that come before, `status` may tell of others' work.
 */
export function queueWaitMs(
  status: BackendStatus,
  rates: Rates,
  places: number,
  running: readonly RunningRequest[],
  waiting: number,
  nowMs: number,
): number | undefined {
  const foreign = Math.max(0, (status.active ?? 0) + (status.queued ?? 0) - running.length);
  if (running.length + foreign + waiting < places) return 0;
  const { prefillRate, decodeRate, fixedMs = 0 } = rates;
  if (prefillRate === undefined || decodeRate === undefined || prefillRate <= 0 || decodeRate <= 0) return undefined;
  const answerMs = (expectedAnswerTokens / decodeRate) * 1000;
  const leastMs = (leastAnswerTokens / decodeRate) * 1000;
  let own = 0;
  let prompts = 0;
  for (const { promptTokens, startMs } of running) {
    const wholeMs = fixedMs + (promptTokens / prefillRate) * 1000 + answerMs;
    prompts += promptTokens;
    own += Math.max(leastMs, wholeMs - (nowMs - startMs));
  }
  const meanPrompt = running.length === 0 ? 0 : prompts / running.length;
  const others = (foreign + waiting) * (fixedMs + (meanPrompt / prefillRate) * 1000 + answerMs);
  return (own + others) / Math.max(1, places);
}
