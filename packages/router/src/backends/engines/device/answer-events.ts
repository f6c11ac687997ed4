import { readSelfReport } from '@lfo/protocol';
import type { AnswerPart, DeviceMessage, MessageOf } from '@lfo/protocol';
import type { InferenceEvent } from '../../../core/events.ts';

/** One piece of a device's answer as an event. */
export function partEvent(part: AnswerPart): InferenceEvent {
  switch (part.k) {
    case 'text':
      return { type: 'text-delta', text: part.text };
    case 'reasoning':
      return { type: 'reasoning-delta', text: part.text };
    case 'call':
      return { type: 'tool-call-start', index: part.index, id: part.id, name: part.name };
    case 'args':
      return { type: 'tool-call-delta', index: part.index, json: part.json };
    case 'call_end':
      return { type: 'tool-call-end', index: part.index, ...(part.repaired === true ? { repaired: true } : {}) };
    default: {
      const { about, taken } = part;
      const scores = part.scores.map(({ token, lp, top }) => ({
        token,
        logprob: lp,
        taken,
        ...(top === undefined ? {} : { top: top.map((other) => ({ token: other.token, logprob: other.lp })) }),
      }));
      return { type: 'token-scores', scores, about };
    }
  }
}

/** The end of a device's answer: what the engine says of itself, if anything, and the finish. */
export function doneEvents(done: MessageOf<DeviceMessage, 'done'>): InferenceEvent[] {
  const { finish_reason: reason, usage, self_report: raw } = done;
  const { confidence, handOff } = readSelfReport(raw);
  const finish: InferenceEvent = {
    type: 'finish',
    reason,
    usage: {
      promptTokens: usage.prompt_tokens,
      completionTokens: usage.completion_tokens,
      ...(usage.cached_tokens === undefined ? {} : { cachedTokens: usage.cached_tokens }),
    },
  };
  if (confidence === undefined && handOff === undefined) return [finish];
  const report: InferenceEvent = {
    type: 'self-report',
    ...(confidence === undefined ? {} : { confidence }),
    ...(handOff === undefined ? {} : { handOff }),
  };
  return [report, finish];
}
