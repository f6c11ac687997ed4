import type { MeanRequest, SlotLoad, KnownRates } from '../core/predicted-work.ts';
import { slotWaitMs } from '../core/predicted-work.ts';

/** How a device is, as far as it bears on how long it takes. */
export interface Condition {
  /** 0 none to 6 shut-down. */
  readonly thermal?: number;
  /** 0..100. */
  readonly batteryPct?: number;
  readonly isCharging?: boolean;
  readonly isSaving?: boolean;
  /** New, returned or just readmitted, and not yet proven. */
  readonly isSlowStart?: boolean;
}

/** All that the prediction for one candidate is made of. */
export interface CandidateLoad extends SlotLoad {
  readonly rates: KnownRates;
  readonly rttMs: number;
  readonly isResident: boolean;
  readonly loadMs: number;
  /** Tokens of this prompt that are in its cache. */
  readonly warm: number;
  readonly condition: Condition;
}

/** The request to be placed, in tokens. */
export interface RequestSize {
  readonly prompt: number;
  readonly out: number;
}

/** What a candidate takes to its first token, and to its last with penalties. */
export interface PredictedMs {
  readonly firstTokenMs: number;
  readonly wholeMs: number;
}

/** The predicted work of section 12 of the device protocol: T, and its part up to the first token. */
export function predictedMs(load: CandidateLoad, { prompt, out }: RequestSize, means: MeanRequest): PredictedMs {
  const { rates, rttMs, isResident, loadMs, warm, condition } = load;
  const readMs = ((prompt - Math.min(warm, prompt)) / rates.prefillRate) * 1000;
  const firstTokenMs = rttMs + (isResident ? 0 : loadMs) + slotWaitMs(load, rates, means) + rates.fixedMs + readMs;
  return { firstTokenMs, wholeMs: (firstTokenMs + (out / rates.decodeRate) * 1000) * penaltyOf(condition) };
}

function penaltyOf({ thermal = 0, batteryPct, isCharging, isSaving, isSlowStart }: Condition): number {
  let penalty = thermal >= moderate ? 1.5 : 1;
  if (batteryPct !== undefined && batteryPct < 40 && isCharging !== true) penalty *= 1.2;
  if (isSaving === true) penalty *= 2;
  if (isSlowStart === true) penalty *= 2;
  return penalty;
}

const moderate = 2;

/** One that could be chosen. */
export interface Ranked {
  /** T in milliseconds. */
  readonly ms: number;
  readonly running: number;
  /** Of two alike the one that was chosen least recently goes first. */
  readonly lastPick: number;
  /** It gave the last answer of this conversation. */
  readonly isOfSession: boolean;
}

/** The least predicted work; the device of the conversation where it is near; of those nearly alike the idlest. */
export function choose<R extends Ranked>(candidates: readonly R[]): R | undefined {
  let least = Infinity;
  for (const { ms } of candidates) least = Math.min(least, ms);
  const near = Math.max(least * affinityShare, least + affinityMs);
  const same = least * tieShare;
  let chosen: R | undefined;
  for (const candidate of candidates) {
    if (candidate.isOfSession && candidate.ms <= near) return candidate;
    if (candidate.ms <= same && (chosen === undefined || isIdler(candidate, chosen))) chosen = candidate;
  }
  return chosen;
}

/** How much more predicted work the device of the conversation may take: the larger of the two. */
const affinityShare = 1.2;
const affinityMs = 250;
/** A smaller difference is noise. */
const tieShare = 1.05;

function isIdler(one: Ranked, other: Ranked): boolean {
  return one.running === other.running ? one.lastPick < other.lastPick : one.running < other.running;
}
