import type { Attempt as PlannedAttempt } from '../core/backend.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';
import { beginTrace, type RequestTrace } from '../core/trace.ts';
import { Attempt, type AttemptEnd, type Call, type PromptSize, type Stages } from './attempt.ts';

/** An answer that goes to nobody, and the trace of its own. */
export interface AsideAnswer {
  readonly end: AttemptEnd;
  readonly events: readonly InferenceEvent[];
  readonly trace: RequestTrace;
}

/** What of a call such an answer needs; nobody waits for its head. */
export interface AsideCall extends Pick<Call, 'signal' | 'costOf' | 'deadlineMs'> {
  readonly threshold: number;
}

/**
 * Answers a request once more, beside the answer that its client gets; undefined where no backend could take it. Nothing
 * of it is written into the request's own trace.
 */
export async function attemptAside(
  planned: PlannedAttempt,
  request: ChatRequest,
  { signal, costOf, deadlineMs, threshold }: AsideCall,
  stages: Stages,
  size: PromptSize,
): Promise<AsideAnswer | undefined> {
  const exclude = new Set<string>();
  if (!stages.pool.hasCandidate(planned, { request, exclude, ...size })) return undefined;
  const { clock } = stages;
  const trace = beginTrace(request, { startMs: clock.nowMs(), startedAtMs: clock.wallMs() }, threshold);
  const events: InferenceEvent[] = [];
  const writer = { committed: false, write: (more: readonly InferenceEvent[]) => void events.push(...more) };
  const own: Call = { signal, costOf, trace, deadlineMs, headDueMs: undefined, hasHead: () => false };
  const options = { request, call: own, stages, size, hasSpare: false, hasOther: () => false };
  const end = await new Attempt({ attempt: planned, exclude, delayMs: 0 }, options).run(writer);
  return { end, events, trace };
}
