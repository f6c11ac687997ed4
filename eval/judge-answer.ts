import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { createAnswerJudge } from '@lfo/router/src/confidence/answer-judge.ts';
import { Gate } from '@lfo/router/src/confidence/gate.ts';
import { configFile } from '@lfo/router/src/config/schema.ts';
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

const shipped = configFile.parse({});

/** The threshold that LFO ships with. */
export const shippedThreshold = shipped.routing.confidenceThreshold;

const limits = shipped.gate;
const judge = createAnswerJudge();

/** Runs a recorded answer through the gate as it ships, streamed, and, separately, through the whole judgement. */
export function judgeAnswer(request: ChatRequest, events: readonly InferenceEvent[]): Judgement {
  const judged = { request, model: { model: 'trace' }, threshold: shippedThreshold, delivery: 'stream' } as const;
  const session = judge.begin(judged);
  for (const event of events) session.observe(event);
  const gate = new Gate(judge.begin(judged), {
    request,
    delivery: 'stream',
    mode: 'judge',
    limits,
    clock: new FakeClock(),
  });
  let released = 0;
  let seen = 0;
  let heldTokens = 0;
  for (const event of events) {
    released += gate.take([event]).length;
    if (event.type === 'token-scores') seen += event.scores.length;
    if (heldTokens === 0 && gate.verdict !== undefined) heldTokens = seen;
  }
  const tokens = events.reduce((sum, event) => sum + (event.type === 'token-scores' ? event.scores.length : 0), 0);
  return { score: session.end().score, isCommitted: !gate.isEscalated && released > 0, heldTokens, tokens };
}
