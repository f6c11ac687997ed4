import type { Attempt as PlannedAttempt } from '../core/backend.ts';
import { mayCall, mustCall } from '../core/can-serve.ts';
import { BackendError, deadlineExceeded, LfoError, malformedCall } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { Reason } from '../core/reason.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AnswerWriter } from '../core/sink.ts';
import {
  Attempt,
  type AttemptEnd,
  type AttemptWriter,
  type Call,
  type HeldBack,
  handOverMs,
  type PromptSize,
  promptSizeOf,
  type Stages,
} from './attempt.ts';
import { noteDecision, noteSparedAnswer, noteUpheldAnswer, type SparedAnswer } from './attempt-notes.ts';
import { Plan, type Step } from './plan.ts';
import { hedgeLost, Race } from './race.ts';
import { secondOpinion } from './second-opinion.ts';

/**
 * Answers one request: measure, decide, then make the planned tries until one answers and passes the gate. Before the
 * writer's commit point everything may be retried, failed over or escalated; after it nothing. Each step is noted in
 * the trace.
 * @throws LfoError when nothing answered; after the commit point, what cut the answer short
 */
export async function answer(request: ChatRequest, call: Call, stages: Stages, writer: AnswerWriter): Promise<void> {
  const { plan, size, lane } = await makePlan(request, call, stages);
  const inLane = lane === undefined ? request : { ...request, hints: { ...request.hints, lane } };
  const race = raceFor(plan, inLane, call, stages, size);
  try {
    await attempts(inLane, call, stages, writer, { plan, size, race });
  } finally {
    race?.drop();
  }
}

interface Planned {
  readonly plan: Plan;
  readonly size: PromptSize;
  /** The cloud attempt that begins before the verdict on a local answer, where there is one. */
  readonly race: Race | undefined;
}

async function attempts(
  request: ChatRequest,
  call: Call,
  stages: Stages,
  writer: AnswerWriter,
  { plan, size, race }: Planned,
): Promise<void> {
  let spared: SparedAnswer | undefined; // the best local answer that was held back
  let held: HeldBack | undefined; // the latest one, whole or not
  for (let next = plan.take(); next !== undefined; next = plan.take()) {
    const step = next;
    const hasSpare = spared?.isWhole === true;
    if (!hasRoom(step, call, hasSpare, stages.clock.nowMs())) break;
    const hasOther = (backend: string): boolean => plan.hasOther(step, backend);
    const asked = step.isCallForced === true ? heldToCall(request) : request;
    const options = { request: asked, call, stages, size, hasSpare, hasOther };
    const attempt = race?.attemptFor(step, options) ?? new Attempt(step, options);
    const isCompared = held !== undefined && step.attempt.tier === 'cloud' && stages.compared !== undefined;
    const copy = isCompared ? new Copy(writer) : undefined;
    const end = await attempt.run(copy ?? writer);
    if (end.type === 'answered') {
      if (copy !== undefined && held !== undefined) compare(request, call, stages, held, copy.events);
      return;
    }
    if (end.type === 'escalated') {
      held = end.held;
      const upheld = race?.hasBegun === true ? undefined : await upheldAnswer(request, call, stages, size, end.spared);
      if (upheld !== undefined) return await writer.write(upheld);
    }
    spared = better(spared, end.spared);
    if (end.type === 'failed' && (call.signal.aborted || writer.committed)) throw end.error;
    if (attempt.backend !== undefined && isCallInVain(request, step, end)) {
      plan.forceCall(step, attempt.backend, attempt.model);
      continue;
    }
    if (!goesOn(plan, step, end, attempt.backend)) {
      if (spared === undefined && end.type === 'failed' && !(end.error instanceof LfoError)) throw end.error;
      break;
    }
  }
  if (spared === undefined) throw plan.error ?? deadlineExceeded();
  noteSparedAnswer(call.trace, spared, stages.clock.nowMs(), call.costOf); // no other answer could be had
  await writer.write(spared.events);
}

/** Whether a local model tried a call and could not write it, where nothing has held it to the form of one so far. */
function isCallInVain(request: ChatRequest, { attempt, isCallForced }: Step, end: AttemptEnd): boolean {
  if (attempt.tier !== 'local' || isCallForced === true || !mayCall(request) || mustCall(request)) return false;
  if (end.type === 'failed') return end.error instanceof BackendError && end.error.code === malformedCall;
  return end.type === 'escalated' && end.reason !== undefined && formFaults.has(end.reason);
}

const formFaults: ReadonlySet<Reason> = new Set(['tool_call_unparsed', 'tool_call_invalid', 'unknown_tool']);

/** The same request, to be answered with calls alone. */
function heldToCall(request: ChatRequest): ChatRequest {
  return { ...request, toolChoice: { type: 'required' }, source: undefined };
}

/** The answer that was held back, beside the one that was given: what agreement says of it is worth a label. */
function compare(
  request: ChatRequest,
  { trace }: Call,
  stages: Stages,
  held: HeldBack,
  cloud: readonly InferenceEvent[],
): void {
  const attempt = trace.attempts.indexOf(held.attempt);
  stages.compared?.({ request, attempt, local: held.events, cloud, propensity: 1 });
}

/** A writer that keeps what goes through it. */
class Copy implements AttemptWriter {
  readonly #writer: AnswerWriter;
  readonly events: InferenceEvent[] = [];

  constructor(writer: AnswerWriter) {
    this.#writer = writer;
  }

  get committed(): boolean {
    return this.#writer.committed;
  }

  write(events: readonly InferenceEvent[]): Promise<void> | undefined {
    for (const event of events) this.events.push(event);
    return this.#writer.write(events);
  }
}

/** The answer that was held back, where another local model gives the same and that is enough. */
async function upheldAnswer(
  request: ChatRequest,
  call: Call,
  stages: Stages,
  size: PromptSize,
  held: SparedAnswer | undefined,
): Promise<SparedAnswer['events'] | undefined> {
  if (!stages.gate.secondOpinion || held === undefined) return undefined;
  const opinion = await secondOpinion(request, call, stages, size, held);
  if (opinion === undefined || opinion.score < call.trace.threshold) return undefined;
  noteUpheldAnswer(call.trace, held, opinion.score, stages.clock.nowMs(), call.costOf);
  return held.events;
}

/** Only where the gate may still hold the first answer back, and what that would cost is worth it. */
function raceFor(plan: Plan, request: ChatRequest, call: Call, stages: Stages, size: PromptSize): Race | undefined {
  const step = plan.behindGate;
  if (step === undefined || stages.hedging === undefined) return undefined;
  const delayMs = stages.hedging.delayMs(request, size, () => stages.pool.snapshot(), call.costOf);
  if (delayMs === undefined) return undefined;
  return new Race({ request, call, stages, size, step, delayMs, hasOther: (backend) => plan.hasOther(step, backend) });
}

async function makePlan(
  request: ChatRequest,
  call: Call,
  stages: Stages,
): Promise<{ readonly plan: Plan; readonly size: PromptSize; readonly lane?: 'background' }> {
  const { pool, route, retries } = stages;
  const routing = route(request, pool.snapshot(), call.signal);
  const routed = routing instanceof Promise ? await routing : routing;
  noteDecision(call.trace, routed);
  const { features, decision } = routed;
  const size = promptSizeOf(features);
  const attempts = stages.gate.policy === 'observe' ? decision.attempts.map(observed) : decision.attempts;
  const local = attempts.find(({ tier }) => tier === 'local');
  if (local !== undefined) pool.wake(local, { request, exclude: none, ...size });
  const plan = new Plan(attempts, retries, (attempt, exclude) =>
    pool.hasCandidate(attempt, { request, exclude, ...size }),
  );
  return { plan, size, ...(decision.lane === undefined ? {} : { lane: decision.lane }) };
}

const none: ReadonlySet<string> = new Set();

/** Nothing is held back; the verdict is only recorded. */
function observed(attempt: PlannedAttempt): PlannedAttempt {
  return attempt.gated ? { ...attempt, gated: false, policy: 'observe' } : attempt;
}

/** Whether the client still waits when this try begins. */
function hasRoom({ delayMs }: Step, { deadlineMs, trace }: Call, hasSpare: boolean, nowMs: number): boolean {
  if (deadlineMs === undefined) return true;
  return nowMs + delayMs < (hasSpare ? handOverMs(deadlineMs, trace.startMs) : deadlineMs);
}

/** Plans on after an attempt that has not answered; false where nothing is left to try. */
function goesOn(plan: Plan, step: Step, end: AttemptEnd, backend: string | undefined): boolean {
  if (end.type === 'failed' && end.error === hedgeLost) return plan.escalated();
  if (end.type === 'failed') return plan.failed(step, end.error, backend);
  if (end.type === 'escalated' && end.spared === undefined) plan.addLastResort({ ...step.attempt, gated: false });
  return plan.escalated();
}

/** A whole answer before one that was cut; of two alike the later. */
function better(known: SparedAnswer | undefined, later: SparedAnswer | undefined): SparedAnswer | undefined {
  if (later === undefined || (known?.isWhole === true && !later.isWhole)) return known;
  return later;
}
