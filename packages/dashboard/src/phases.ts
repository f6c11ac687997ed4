import type { AttemptView, RequestView } from '@lfo/router/src/records/request-view.ts';

/** What time was spent on. */
export type PhaseKind = 'queue' | 'prefill' | 'decode' | 'cloud';

export interface Phase {
  readonly kind: PhaseKind;
  readonly startMs: number;
  readonly endMs: number;
}

export const phaseNames: Readonly<Record<PhaseKind, string>> = {
  queue: 'queue',
  prefill: 'prefill',
  decode: 'decode',
  cloud: 'cloud',
};

/** The phases of one attempt in order; those that have not ended are left out. */
export function phasesOf({ tier, startMs, leasedMs, firstEventMs, endMs }: AttemptView): readonly Phase[] {
  const phases: Phase[] = [];
  const add = (kind: PhaseKind, from: number | null, to: number | null): void => {
    if (from !== null && to !== null && to > from) phases.push({ kind, startMs: from, endMs: to });
  };
  add('queue', startMs, leasedMs ?? endMs);
  if (tier === 'cloud') add('cloud', leasedMs, endMs);
  else {
    add('prefill', leasedMs, firstEventMs ?? endMs);
    add('decode', firstEventMs, endMs);
  }
  return phases;
}

/** When text was there already but waited for its verdict. */
export function heldOf({ firstEventMs, heldMs, endMs }: AttemptView): Omit<Phase, 'kind'> | undefined {
  if (firstEventMs === null || heldMs === null || heldMs <= 0) return undefined;
  return { startMs: firstEventMs, endMs: Math.min(firstEventMs + heldMs, endMs ?? Infinity) };
}

/** Milliseconds a request spent in each phase, all attempts together; phases without any are left out. */
export function phaseTotals(request: RequestView): readonly { readonly kind: PhaseKind; readonly ms: number }[] {
  const totals = new Map<PhaseKind, number>();
  for (const { kind, startMs, endMs } of request.attempts.flatMap(phasesOf)) {
    totals.set(kind, (totals.get(kind) ?? 0) + endMs - startMs);
  }
  return Array.from(totals, ([kind, ms]) => ({ kind, ms }));
}

/** Score of the answer that was given, else of the local one that was not. */
export function scoreOf({ confidence, attempts }: Judged): number | null {
  return confidence ?? attempts.findLast(({ tier }) => tier === 'local')?.score ?? null;
}

interface Judged {
  readonly confidence: number | null;
  readonly attempts: readonly Pick<AttemptView, 'tier' | 'score'>[];
}

/** Tried locally first, then answered by the cloud. */
export function isEscalated(request: RequestView): boolean {
  return request.route === 'cloud' && request.attempts.some(({ tier }) => tier === 'local');
}

/** The cloud answered because the local attempt broke, whatever its text was worth. */
export function hasStoodIn({ attempts }: RequestView): boolean {
  return attempts.findLast(({ tier }) => tier === 'local')?.outcome === 'failed';
}

/** Whether it ended without an answer; a client that left is no failure. */
export function hasFailed({ state, errorCode, status }: RequestView): boolean {
  return state === 'done' && errorCode !== null && status !== 499;
}
