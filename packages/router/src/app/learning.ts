import { expectedRight } from '../confidence/heads/expected-right.ts';
import { headsEstimator, type HeadsOptions } from '../confidence/heads/heads-estimator.ts';
import { agreementOf } from '../confidence/agreement.ts';
import type { Clock } from '../core/clock.ts';
import type { ConfidenceEstimator } from '../core/confidence.ts';
import type { LabelSink } from '../core/judgement.ts';
import type { ChatRequest, Tier } from '../core/request.ts';
import type { AnswerGoal, RoutingLimits } from '../core/routing.ts';
import type { RequestSink } from '../core/sink.ts';
import { AnsweredCalls } from '../learning/answered-calls.ts';
import { LabelWatch } from '../learning/label-watch.ts';
import type { Steering } from '../learning/steering.ts';
import type { ComparedAnswers } from '../pipeline/attempt.ts';
import { Shadows, type ShadowsOptions } from '../pipeline/shadow.ts';
import type { Records } from '../records/open-records.ts';
import type { AppOptions } from './running-app.ts';
import type { Steered } from './steering.ts';

/** The judge of local answers, and what is learned from use. */
export interface Learning {
  readonly judge: ConfidenceEstimator;
  readonly sinks: readonly RequestSink[];
  readonly loopTier: (request: ChatRequest) => Tier | undefined;
  readonly compared: (answers: ComparedAnswers) => void;
  /** The operator's numbers for a request that names none. */
  readonly limits: () => RoutingLimits;
  readonly thresholdFor: (goal: AnswerGoal) => number | undefined;
  /** Probability that a model answers right, by the request alone. */
  readonly expectedRight: (request: ChatRequest, model: string) => number | undefined;
}

/** Everything that makes labels out of what happens anyway. */
export function openLearning(clock: Clock, heads: HeadsOptions, labels: LabelSink, steering: Steering): Learning {
  const calls = new AnsweredCalls();
  return {
    judge: headsEstimator(heads),
    expectedRight: (request, model) => expectedRight(heads, request, { model }),
    sinks: [calls, new LabelWatch(clock, calls, labels), steering],
    limits: () => steering.limits(),
    thresholdFor: (goal) => steering.thresholdFor(goal),
    loopTier: (request) => calls.loopTier(request),
    // Once the answer has left: comparing may take a millisecond.
    compared: (answers) => void setImmediate(() => addAgreement(answers, labels)),
  };
}

/** The answers that are made beside those of clients, judged, recorded and paid for. */
export function openShadows(
  { clock, config }: Pick<AppOptions, 'clock' | 'config'>,
  {
    random,
    stagesFor,
    records,
    learning,
    steered,
  }: {
    readonly random: () => number;
    readonly stagesFor: ShadowsOptions['stagesFor'];
    readonly records: Records;
    readonly learning: Learning;
    readonly steered: Steered;
  },
): Shadows {
  return new Shadows({
    clock,
    random,
    gate: () => config.current().gate,
    stagesFor,
    costOf: records.costOf,
    compared: learning.compared,
    record: (...judged) => records.recordShadow(...judged),
    spent: (usd) => steered.steering.addSpent(usd),
  });
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
