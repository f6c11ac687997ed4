import type { Rates } from './backend.ts';

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
