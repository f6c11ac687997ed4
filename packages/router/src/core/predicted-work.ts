import type { Rates } from './backend.ts';

/** A request that was given to a backend and has not ended. */
export interface RunningRequest {
  readonly promptTokens: number;
  /** Predicted length of its answer. */
  readonly expectedTokens: number;
  /** Monotonic. */
  readonly startMs: number;
  /** Of work that may wait. */
  readonly isBackground?: boolean;
  /** Monotonic; absent while nothing has been answered. */
  firstTokenMs?: number;
}

/** Tokens that one request still takes. */
export interface WorkLeft {
  readonly promptLeft: number;
  readonly outLeft: number;
}

/** Rates that are known. */
export interface KnownRates {
  readonly prefillRate: number;
  readonly decodeRate: number;
  /** Of each request, beside its tokens. */
  readonly fixedMs: number;
}

/** What keeps a backend from starting at once. */
export interface SlotLoad {
  /** Requests it works on at once. */
  readonly slots: number;
  /** Given to it here and not ended. */
  readonly own: readonly WorkLeft[];
  /** Of others, as it says. */
  readonly foreign: number;
}

/** What a request of others is taken to be: the mean of ours. */
export interface MeanRequest {
  readonly prompt: number;
  readonly out: number;
}

/** Who has talked for long goes on for long. */
export function outLeft(expected: number, produced: number): number {
  return Math.max(leastAnswerTokens, expected - produced, produced / 2);
}

/** What a running request still takes, by the clock and the rates of its backend. */
export function workLeft(
  { promptTokens, expectedTokens, startMs, firstTokenMs }: RunningRequest,
  rates: KnownRates,
  nowMs: number,
): WorkLeft {
  if (firstTokenMs !== undefined) {
    const produced = ((nowMs - firstTokenMs) / 1000) * rates.decodeRate;
    return { promptLeft: 0, outLeft: outLeft(expectedTokens, produced) };
  }
  const readMs = Math.max(0, nowMs - startMs - rates.fixedMs);
  const promptLeft = Math.max(0, promptTokens - (readMs / 1000) * rates.prefillRate);
  return { promptLeft, outLeft: outLeft(expectedTokens, 0) };
}

/** Milliseconds until a slot is free: 0 while one is, else the work ahead over the slots (device protocol 1, section 12). */
export function slotWaitMs({ slots, own, foreign }: SlotLoad, rates: KnownRates, means: MeanRequest): number {
  if (own.length + foreign < slots) return 0;
  const { prefillRate, decodeRate } = rates;
  let seconds = foreign * (means.prompt / prefillRate + means.out / decodeRate);
  for (const work of own) seconds += work.promptLeft / prefillRate + work.outLeft / decodeRate;
  return (seconds / slots) * 1000;
}

/** Rates that may be computed with; undefined where one is missing or no rate. */
export function knownRates({ prefillRate, decodeRate, fixedMs = 0 }: Rates): KnownRates | undefined {
  if (prefillRate === undefined || decodeRate === undefined || prefillRate <= 0 || decodeRate <= 0) return undefined;
  return { prefillRate, decodeRate, fixedMs };
}

const leastAnswerTokens = 16;
