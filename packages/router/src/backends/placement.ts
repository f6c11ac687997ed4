import type { PoolChoice } from '../core/backend.ts';
import { prefixHashes } from '../core/prefix-hashes.ts';
import {
  knownRates,
  type KnownRates,
  type MeanRequest,
  slotWaitMs,
  type WorkLeft,
  workLeft,
} from '../core/predicted-work.ts';
import { type CandidateLoad, predictedMs, type RequestSize } from './balance.ts';
import { givesWay, type Member, placesOf, ratesOf } from './eligibility.ts';

/** Assumed where nobody's speed is known: all are alike then. */
export const assumedRates: KnownRates = { prefillRate: 200, decodeRate: 20, fixedMs: 0 };

/** One member that could be given a request now, or once it has a place. */
export interface Placeable {
  readonly member: Member;
  readonly model: string;
  readonly isFull: boolean;
  /** Its speed is known, so that waiting for it can be weighed against another that is free. */
  readonly isMeasured: boolean;
  /** Predicted milliseconds to the first token, without penalties. */
  readonly firstTokenMs: number;
  /** Predicted work: T. */
  readonly ms: number;
  readonly running: number;
  readonly lastPick: number;
  readonly isOfSession: boolean;
}

/** What a prediction needs besides the member. */
export interface PlacementContext {
  readonly choice: PoolChoice;
  readonly size: RequestSize;
  readonly means: MeanRequest;
  /** What a member of unknown speed is taken for: as quick as the quickest, so that it is tried. */
  readonly assumed: KnownRates;
  readonly nowMs: number;
  /** Backend of the conversation's last answer. */
  readonly preferred: string | undefined;
  /** Given in this round to requests that wait before this one. */
  readonly placed: ReadonlyMap<Member, readonly WorkLeft[]> | undefined;
}

/** Predicts what the request takes at the member. */
export function placeAt(member: Member, model: string, isFull: boolean, context: PlacementContext): Placeable {
  const { means, size, preferred, assumed } = context;
  const known = knownRates(ratesOf(member, model));
  const predicted = predictedMs(loadOf(member, model, known ?? assumed, context), size, means);
  const handicapMs = member.breaker.handicapMs;
  return {
    member,
    model,
    isFull,
    isMeasured: known !== undefined,
    firstTokenMs: predicted.firstTokenMs + handicapMs,
    ms: predicted.wholeMs + handicapMs,
    running: member.running.size,
    lastPick: member.lastPick,
    isOfSession: member.backend.id === preferred,
  };
}

function loadOf(member: Member, model: string, rates: KnownRates, context: PlacementContext): CandidateLoad {
  const { backend, running, slowStart } = member;
  const { choice, nowMs, placed } = context;
  const said = backend.load?.(model);
  const own: WorkLeft[] = [];
  for (const request of running) {
    if (!givesWay(member, request, choice.request)) own.push(workLeft(request, rates, nowMs));
  }
  for (const work of placed?.get(member) ?? []) own.push(work);
  const { warmBackend, warmTokens = 0 } = choice;
  const counted = warmBackend === backend.id ? warmTokens : 0;
  const reported = said?.warm(() => prefixHashes(model, choice.request)) ?? 0;
  if (said === undefined) {
    const { slots, active = 0, queued = 0 } = backend.status();
    const foreign = slots === undefined ? 0 : Math.max(0, active + queued - running.size);
    // How many a server works on at once it does not say: as if one after the other.
    return {
      rates,
      own,
      foreign,
      slots: slots ?? 1,
      rttMs: 0,
      isResident: true,
      loadMs: 0,
      warm: counted,
      condition: {},
    };
  }
  const { slots, foreign, rttMs, isResident, loadMs } = said;
  return {
    rates,
    own,
    foreign,
    slots,
    rttMs,
    isResident,
    loadMs,
    warm: Math.max(counted, reported),
    condition: { ...said, isSlowStart: slowStart.left > 0 },
  };
}

/** Predicted milliseconds until one more request would have a place, so many waiting before it; undefined: not known. */
export function queueMsOf(member: Member, waiting: number, means: MeanRequest, nowMs: number): number | undefined {
  const { backend, running, breaker } = member;
  const model = backend.models[0] ?? '';
  const status = backend.status();
  const said = backend.load?.(model);
  const slots = Math.min(placesOf(member), said?.slots ?? status.slots ?? Infinity);
  const foreign = said?.foreign ?? Math.max(0, (status.active ?? 0) + (status.queued ?? 0) - running.size);
  if (running.size + foreign + waiting < slots) return breaker.handicapMs;
  const rates = knownRates(ratesOf(member, model));
  if (rates === undefined) return breaker.handicapMs > 0 ? breaker.handicapMs : undefined;
  const own = Array.from(running, (request) => workLeft(request, rates, nowMs));
  return slotWaitMs({ slots: Math.max(1, slots), own, foreign: foreign + waiting }, rates, means) + breaker.handicapMs;
}
