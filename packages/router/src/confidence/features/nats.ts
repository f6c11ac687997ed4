import type { LabelledToken } from '@lfo/device-core/token-labels';

/** Surprise of one call, in nats (−ln p, at most 20 a token). */
export interface CallNats {
  /** From its name on. */
  readonly total: number;
  readonly values: number;
  readonly worstValueToken: number;
  readonly worstAfterValue: number;
  /** Tokens above .1 nats, from the name on. */
  readonly uncertain: number;
  /** Summed by the argument whose value they write. */
  readonly byArgument: ReadonlyMap<string, number>;
}

/** Surprise of an answer that calls tools. */
export interface AnswerNats {
  readonly calls: readonly CallNats[];
  /** Sum over what precedes the first call. */
  readonly decision: number;
  /** The most surprising of: the token that closes the last call, the first and the last token after it. */
  readonly stop: number;
}

interface OpenCall {
  total: number;
  values: number;
  worstValueToken: number;
  worstAfterValue: number;
  uncertain: number;
  byArgument: Map<string, number>;
}

/** A probability of zero, or a broken number, is worth as much as a very unlikely token and no more. */
export function natsOf(logprob: number): number {
  return Number.isFinite(logprob) ? Math.min(Math.max(-logprob, 0), maxNats) : maxNats;
}

/** Sums the surprise of labelled tokens; both lists have one entry a token. */
export function sumNats(labels: readonly LabelledToken[], nats: readonly number[]): AnswerNats {
  const calls: OpenCall[] = [];
  let decision = 0;
  let closing = 0;
  const stops: number[] = [];
  for (const [index, { label, call: of, argument }] of labels.entries()) {
    const surprise = nats[index] ?? 0;
    if (label === 'text' || label === 'reasoning') continue;
    if (label === 'decision') {
      if ((of ?? 0) === 0) decision += surprise;
      stops.length = 0;
      continue;
    }
    if (label === 'stop') {
      stops.push(surprise);
      continue;
    }
    const call = (calls[of ?? 0] ??= emptyCall());
    call.total += surprise;
    if (surprise > uncertainNats) call.uncertain += 1;
    closing = surprise;
    if (label === 'after-value') call.worstAfterValue = Math.max(call.worstAfterValue, surprise);
    if (label !== 'value') continue;
    call.values += surprise;
    call.worstValueToken = Math.max(call.worstValueToken, surprise);
    if (argument !== undefined) call.byArgument.set(argument, (call.byArgument.get(argument) ?? 0) + surprise);
  }
  const stop = Math.max(closing, stops[0] ?? 0, stops.at(-1) ?? 0);
  return { calls: Array.from(calls, (call) => call ?? emptyCall()), decision, stop };
}

function emptyCall(): OpenCall {
  return { total: 0, values: 0, worstValueToken: 0, worstAfterValue: 0, uncertain: 0, byArgument: new Map() };
}

const maxNats = 20;
const uncertainNats = 0.1;
