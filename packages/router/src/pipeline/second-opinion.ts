import { agreementOf } from '../confidence/agreement.ts';
import { familyOf, leastScoreToAsk, withOpinion } from '../confidence/opinion.ts';
import { childOf } from '../core/abort.ts';
import type { Attempt as PlannedAttempt, BackendView } from '../core/backend.ts';
import { LfoError } from '../core/errors.ts';
import type { ChatRequest } from '../core/request.ts';
import { expectedCloudMs } from '../routing/answer-time.ts';
import type { Call, PromptSize, Stages } from './attempt.ts';
import { attemptAside } from './attempt-aside.ts';
import type { SparedAnswer } from './attempt-notes.ts';

/** What another model said of an answer. */
export interface Opinion {
  readonly backend: string;
  readonly model: string;
  readonly agrees: boolean;
  /** Probability 0..1 that the answer is right, with this counted in. */
  readonly score: number;
}

/**
 * Asks an idle local backend of another model family the same, where its agreement would lift the held answer above the
 * threshold, and for no longer than the cloud would take. Undefined where there is nobody to ask, no answer came in time,
 * or the two cannot be compared.
 */
export async function secondOpinion(
  request: ChatRequest,
  call: Call,
  stages: Stages,
  size: PromptSize,
  held: SparedAnswer,
): Promise<Opinion | undefined> {
  const { score, reason } = held.verdict ?? {};
  const isDoubt = reason === 'low_confidence' || reason === 'ungrounded_arguments';
  if (score === undefined || !isDoubt || score < leastScoreToAsk(call.trace.threshold)) return undefined;
  const fleet = stages.pool.view();
  const avoid = call.trace.ruledOut?.backends ?? [];
  const other = fleet.backends.find((backend) => isOther(backend, held) && !avoid.includes(backend.id));
  if (other === undefined) return undefined;
  const planned: PlannedAttempt = { tier: 'local', backend: other.id, gated: false, policy: 'observe' };
  const over = childOf(call.signal);
  const cloudMs = expectedCloudMs(fleet, request, size, 'end');
  const cancel = stages.clock.schedule(cloudMs, () => over.abort(tooLate));
  const { costOf, deadlineMs, trace } = call;
  const asked = { signal: over.signal, costOf, deadlineMs, threshold: trace.threshold };
  const aside = await attemptAside(planned, request, asked, stages, size);
  cancel();
  over.release();
  if (aside?.end.type !== 'answered') return undefined;
  const agreement = agreementOf(request, held.events, aside.events);
  if (agreement === undefined) return undefined;
  const { agrees } = agreement;
  const { backend = other.id, model = other.models[0] ?? other.id } = aside.trace;
  const opinion = { backend, model, agrees, score: withOpinion(score, agrees) };
  noteOpinion(held, opinion);
  return opinion;
}

/** Kept with the judgement, so that it can be learned from. */
function noteOpinion({ attempt }: SparedAnswer, { backend, model, agrees, score }: Opinion): void {
  const { judgement } = attempt;
  if (judgement === undefined) return;
  const evidence = { ...judgement.evidence, second_opinion: { backend, model, agrees } };
  const upheld = score >= judgement.threshold ? { verdict: 'commit' as const, reason: 'second_opinion' as const } : {};
  attempt.judgement = { ...judgement, evidence, score, ...upheld };
}

function isOther(
  { id, tier, models, status, breaker, inFlight, isDraining }: BackendView,
  held: SparedAnswer,
): boolean {
  if (tier !== 'local' || id === held.attempt.backend || status.state !== 'ready') return false;
  if (breaker !== 'closed' || inFlight > 0 || (status.active ?? 0) > 0 || isDraining === true) return false;
  const [model] = models;
  return model !== undefined && familyOf(model) !== familyOf(held.attempt.model ?? '');
}

const tooLate = new LfoError('The cloud would have answered by now.', { code: 'opinion_too_late', status: 499 });
