import type { AnswerTiming, Outcome } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { BreakerConfig } from '../config/config.ts';
import { CircuitBreaker, type EjectionReason } from './breaker.ts';
import type { Member } from './eligibility.ts';

/** A device that fails three times in a row is left alone, ever longer while it flaps. */
const deviceBreaker: BreakerConfig = { failures: 3, openMs: 10_000, maxOpenMs: 300_000 };
const deviceProbeMs = 30_000;
const deviceHealthyMs = 5 * 60_000;
/** So many answers in a row that begin this much later than predicted count as three failures. */
const lateStarts = 3;
const lateTimes = 4;
const lateMs = 1_000;
/** Answers that a device which is new or just back owes before it counts as any other. */
const slowStartAnswers = 3;
/** The breaker of a device: left alone ever longer, and never so that more than half of those connected are out. */
export function deviceBreakerOf(
  clock: Clock,
  members: () => readonly Member[],
  onEjected: (why: EjectionReason) => void,
): CircuitBreaker {
  const mayOpen = (): boolean => mayEject(members());
  return new CircuitBreaker(
    { ...deviceBreaker, probeMs: deviceProbeMs, healthyMs: deviceHealthyMs, mayOpen, onEjected },
    clock,
  );
}

/** At most half of the devices that are connected are out at once. */
function mayEject(members: readonly Member[]): boolean {
  const connected = members.filter(
    ({ backend }) => backend.label?.() !== undefined && backend.status().state !== 'down',
  );
  const out = connected.filter(({ breaker }) => breaker.state !== 'closed').length;
  return out + 1 <= Math.floor(connected.length / 2);
}

/** Answers that are owed at the start, before which one request is given at a time. */
export function newSlowStart(): Member['slowStart'] {
  return { left: slowStartAnswers, isProven: false };
}

/** Slow start and late answers count for devices: their speed is theirs, and nobody looks after them. */
export function noteDevice(
  member: Member,
  outcome: Outcome,
  wasHalfOpen: boolean,
  timing: AnswerTiming | undefined,
  predictedMs: number,
): void {
  if (outcome === 'success') {
    if (wasHalfOpen) member.slowStart = newSlowStart();
    const { left } = member.slowStart;
    member.slowStart = { left: Math.max(0, left - 1), isProven: true };
  }
  if (timing === undefined || !Number.isFinite(predictedMs)) return;
  const isLate = timing.firstTokenMs > lateTimes * predictedMs && timing.firstTokenMs > predictedMs + lateMs;
  member.lateStarts = isLate ? member.lateStarts + 1 : 0;
  if (member.lateStarts < lateStarts) return;
  member.lateStarts = 0;
  member.breaker.eject();
}
