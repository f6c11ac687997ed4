import { deadlineExceeded, LfoError } from '../core/errors.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AnswerWriter } from '../core/sink.ts';
import { Attempt, type AttemptEnd, type Call, type Stages } from './attempt.ts';
import { noteDecision, noteSparedAnswer, type SparedAnswer } from './attempt-notes.ts';
import { Plan, type Step } from './plan.ts';

/**
 * Answers one request: measure, decide, then make the planned tries until one answers and passes the gate. Before the
 * writer's commit point everything may be retried, failed over or escalated; after it nothing. Each step is noted in
 * the trace.
 * @throws LfoError when nothing answered; after the commit point, what cut the answer short
 */
export async function answer(request: ChatRequest, call: Call, stages: Stages, writer: AnswerWriter): Promise<void> {
  const { plan, promptTokens } = await makePlan(request, call, stages);
  let spared: SparedAnswer | undefined; // the best local answer that was held back
  for (let step = plan.take(); step !== undefined; step = plan.take()) {
    const giveUpMs = spared?.isWhole === true ? handOverMs(call) : undefined;
    if (stages.clock.nowMs() + step.delayMs >= (giveUpMs ?? call.deadlineMs ?? Infinity)) break;
    const attempt = new Attempt(step, { request, call, stages, promptTokens, giveUpMs });
    const end = await attempt.run(writer);
    if (end.type === 'answered') return;
    spared = better(spared, end.spared);
    if (end.type === 'failed' && (call.signal.aborted || writer.committed)) throw end.error;
    if (!goesOn(plan, step, end, attempt.backend)) {
      if (spared === undefined && end.type === 'failed' && !(end.error instanceof LfoError)) throw end.error;
      break;
    }
  }
  if (spared === undefined) throw plan.error ?? deadlineExceeded();
  noteSparedAnswer(call.trace, spared, stages.clock.nowMs(), call.costOf); // no other answer could be had
  await writer.write(spared.events);
}

async function makePlan(
  request: ChatRequest,
  call: Call,
  { pool, measure, decide, retries }: Stages,
): Promise<{ readonly plan: Plan; readonly promptTokens: number }> {
  const fleet = pool.view();
  const features = await measure(request, fleet, call.signal);
  const decision = decide(features, fleet);
  noteDecision(call.trace, features, fleet, decision);
  const { promptTokens } = features;
  const plan = new Plan(decision.attempts, retries, (attempt, exclude) =>
    pool.hasCandidate(attempt, { request, exclude, promptTokens }),
  );
  return { plan, promptTokens };
}

/** Plans on after an attempt that has not answered; false where nothing is left to try. */
function goesOn(plan: Plan, step: Step, end: AttemptEnd, backend: string | undefined): boolean {
  if (end.type === 'failed') return plan.failed(step, end.error, backend);
  if (end.type === 'escalated' && end.spared === undefined) plan.addLastResort({ ...step.attempt, gated: false });
  return plan.escalated();
}

/** A whole answer before one that was cut; of two alike the later. */
function better(known: SparedAnswer | undefined, later: SparedAnswer | undefined): SparedAnswer | undefined {
  if (later === undefined || (known?.isWhole === true && !later.isWhole)) return known;
  return later;
}

/** When a held answer must be handed over to arrive before the client's deadline. */
function handOverMs({ deadlineMs, trace }: Call): number | undefined {
  if (deadlineMs === undefined) return undefined;
  return deadlineMs - Math.min(handOverLeadMs, (deadlineMs - trace.startMs) / 10);
}

const handOverLeadMs = 100;
