import { readFileSync } from 'node:fs';
import { beginHeads, type HeadsOptions } from '@lfo/router/src/confidence/heads/heads-estimator.ts';
import { readCalibration } from '@lfo/router/src/confidence/heads/calibration.ts';
import { openGate } from '@lfo/router/src/confidence/gate.ts';
import type { GateConfig } from '@lfo/router/src/config/config.ts';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
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
  readonly calibration?: string;
}

/** The shipped calibration, read from the file that ships. */
export function shippedHeads(): HeadsOptions {
  const file = new URL('../packages/router/src/confidence/calibration/qwen2.5-coder-0.5b.json', import.meta.url);
  return { calibrations: [readCalibration(parseJson(readFileSync(file, 'utf8')) ?? null)], weights: shippedWeights() };
}

/** Runs a recorded answer through the gate, one token an event, and apart from it through the whole judgement. */
export async function gateTrace(
  trace: Trace,
  request: ChatRequest,
  heads: HeadsOptions,
  settings: { readonly threshold: number; readonly limits: GateConfig },
): Promise<GateResult> {
  const { threshold } = settings;
  const model = { model: trace.model };
  const events = eventsOf(trace, request.tools);
  const whole = beginHeads(heads, { request, threshold, model });
  for (const event of events) whole.observe(event);
  const gate = openGate(replay(events), beginHeads(heads, { request, threshold, model }), {
    mode: 'judge',
    limits: settings.limits,
    clock: new FakeClock(),
    signal: new AbortController().signal,
  });
  let released = 0;
  for await (const _event of gate) released += 1;
  const { verdict } = gate;
  return {
    id: trace.id,
    score: whole.end().score ?? null,
    route: gate.escalated || released === 0 ? 'cloud' : 'local',
    reason: verdict?.reason ?? 'no_evidence',
    heldTokens: Math.min(gate.heldTokens, trace.pieces.length),
    tokens: trace.pieces.length,
    threshold,
    ...(verdict?.score !== undefined && { verdictScore: verdict.score }),
    ...(heads.calibrations[0] !== undefined && { calibration: heads.calibrations[0].id }),
  };
}

async function* replay(events: readonly InferenceEvent[]): AsyncGenerator<InferenceEvent, void> {
  yield* events;
}
