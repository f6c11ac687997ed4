import { agreementOf } from '../confidence/agreement.ts';
import type { Clock } from '../core/clock.ts';
import type { ConfidenceEstimator } from '../core/confidence.ts';
import type { LabelSink } from '../core/judgement.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { RoutingLimits } from '../core/routing.ts';
import type { RequestSink } from '../core/sink.ts';
import { AnsweredCalls } from '../learning/answered-calls.ts';
import { LabelWatch } from '../learning/label-watch.ts';
import type { Steering } from '../learning/steering.ts';
import type { ComparedAnswers } from '../pipeline/attempt.ts';

/** The judge of local answers, and what is learned from use. */
export interface Learning {
  readonly judge: ConfidenceEstimator;
  readonly sinks: readonly RequestSink[];
  readonly loopTier: (request: ChatRequest) => Tier | undefined;
  readonly compared: (answers: ComparedAnswers) => void;
  /** The operator's numbers for a request that names none. */
  readonly limits: () => RoutingLimits;
}

/** Everything that makes labels out of what happens anyway. */
export function openLearning(
  clock: Clock,
  judge: ConfidenceEstimator,
  labels: LabelSink,
  steering: Steering,
): Learning {
  const calls = new AnsweredCalls();
  return {
    judge,
    sinks: [calls, new LabelWatch(clock, calls, labels), steering],
    limits: () => steering.limits(),
    loopTier: (request) => calls.loopTier(request),
    // Once the answer has left: comparing may take a millisecond.
    compared: (answers) => void setImmediate(() => addAgreement(answers, labels)),
  };
}

function addAgreement({ request, attempt, local, cloud, propensity }: ComparedAnswers, labels: LabelSink): void {
  const found = agreementOf(request, local, cloud);
  if (found === undefined) return;
  const { agrees, because } = found;
  labels.add({
    requestId: request.id,
    attempt,
    source: 'agreement',
    label: agrees ? 1 : 0,
    weight: 1,
    propensity,
    ...(because !== undefined && { because }),
  });
}
