import { readFileSync } from 'node:fs';
import { headsEstimator, type HeadsOptions } from '@lfo/router/src/confidence/heads/heads-estimator.ts';
import { readCalibration } from '@lfo/router/src/confidence/heads/calibration.ts';
import { Gate } from '@lfo/router/src/confidence/gate.ts';
import { resolveGate } from '@lfo/router/src/config/resolve.ts';
import { configFile } from '@lfo/router/src/config/schema.ts';
import type { ConfidenceEstimator } from '@lfo/router/src/core/confidence.ts';
import { parseJson } from '@lfo/router/src/core/json.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { shippedWeights } from './fit/material.ts';
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

/** The shipped calibration, read from the file that ships. */
export function shippedHeads(): HeadsOptions {
  const file = new URL('../packages/router/src/confidence/calibration/qwen2.5-coder-0.5b.json', import.meta.url);
  return { calibrations: [readCalibration(parseJson(readFileSync(file, 'utf8')) ?? null)], weights: shippedWeights() };
}

/** The estimator as it ships. */
export function shippedEstimator(): ConfidenceEstimator {
  return headsEstimator(shippedHeads());
}

const calibrationId = shippedHeads().calibrations[0]?.id ?? '';
const shipped = configFile.parse({});
const limits = resolveGate(shipped.gate);

/** Runs a recorded answer through the gate as it ships, streamed, one token an event, and apart from it through the whole judgement. */
export function gateTrace(trace: Trace, request: ChatRequest, estimator: ConfidenceEstimator): GateResult {
  const threshold = shipped.routing.confidence_threshold;
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
