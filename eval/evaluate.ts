import { shippedHeads } from '@lfo/router/src/app/estimator.ts';
import { Gate } from '@lfo/router/src/confidence/gate.ts';
import { configFile } from '@lfo/router/src/config/schema.ts';
import type { ConfidenceEstimator } from '@lfo/router/src/core/confidence.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { eventsOf, type Trace } from './trace-file.ts';

/** What the gate did with one recorded answer; the line that `npm run eval` writes. */
export interface GateResult {
  readonly id: string;
  /** Of the whole answer; 0 where structure alone condemned it, null without evidence. */
  readonly score: number | null;
  readonly route: 'local' | 'cloud';
  readonly reason: string;
  /** Tokens seen before the verdict. */
  readonly heldTokens: number;
  readonly tokens: number;
  readonly threshold: number;
  /** The score by which the gate decided; absent where it had none. */
  readonly verdictScore?: number;
  readonly calibration: string;
}

const calibrationId = shippedHeads().calibrations[0]?.id ?? '';
const shipped = configFile.parse({});
const limits = shipped.gate;

/** Runs a recorded answer through the gate as it ships, streamed, one token an event, and apart from it through the whole judgement. */
export function gateTrace(
  trace: Trace,
  asked: ChatRequest,
  estimator: ConfidenceEstimator,
  threshold: number = shipped.routing.confidenceThreshold,
): GateResult {
  // An answer that ended at the recording's cap ended where whoever asked wanted it to.
  const isCapped = trace.finish === 'length';
  const request = isCapped ? { ...asked, sampling: { ...asked.sampling, maxTokens: trace.pieces.length } } : asked;
  const judged = { request, model: { model: trace.model }, threshold, delivery: 'stream' } as const;
  const events = eventsOf(trace, request.tools);
  const whole = estimator.begin(judged);
  for (const event of events) whole.observe(event);
  const gate = new Gate(estimator.begin(judged), {
    request,
    delivery: 'stream',
    mode: 'judge',
    limits,
    clock: new FakeClock(),
  });
  let seen = 0;
  let heldTokens: number | undefined;
  for (const event of events) {
    gate.take([event]);
    if (event.type === 'token-scores') seen += event.scores.length;
    if (gate.verdict !== undefined) heldTokens ??= seen;
  }
  const { verdict } = gate;
  return {
    id: trace.id,
    score: whole.end().score ?? null,
    route: gate.isEscalated ? 'cloud' : 'local',
    reason: verdict?.reason ?? 'no_evidence',
    heldTokens: heldTokens ?? seen,
    tokens: trace.pieces.length,
    threshold,
    ...(verdict?.score !== undefined && { verdictScore: verdict.score }),
    calibration: calibrationId,
  };
}
