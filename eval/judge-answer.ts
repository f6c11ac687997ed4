import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { answerJudge } from '@lfo/router/src/confidence/answer-judge.ts';
import { openGate } from '@lfo/router/src/confidence/gate.ts';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';

/** What the shipped gate did with one recorded answer. */
export interface Judgement {
  /** Of the whole answer; 0 where structure alone condemned it, undefined without evidence. */
  readonly score: number | undefined;
  readonly isCommitted: boolean;
  /** Tokens seen before the verdict. */
  readonly heldTokens: number;
  readonly tokens: number;
}

/** Runs a recorded answer through the gate and, separately, through the whole judgement. */
export async function judgeAnswer(
  request: ChatRequest,
  events: readonly InferenceEvent[],
  threshold: number,
): Promise<Judgement> {
  const session = answerJudge.begin(request, threshold);
  for (const event of events) session.observe(event);
  const gate = openGate(replay(events), answerJudge.begin(request, threshold), {
    mode: 'judge',
    limits: { maxHoldTokens: 4_096, maxHoldMs: 60_000 },
    clock: new FakeClock(),
    signal: new AbortController().signal,
  });
  let released = 0;
  for await (const _event of gate) released++;
  const tokens = events.reduce((sum, event) => sum + (event.type === 'token-scores' ? event.scores.length : 0), 0);
  return { score: session.end().score, isCommitted: released > 0, heldTokens: gate.heldTokens, tokens };
}

async function* replay(events: readonly InferenceEvent[]): AsyncGenerator<InferenceEvent, void> {
  yield* events;
}
