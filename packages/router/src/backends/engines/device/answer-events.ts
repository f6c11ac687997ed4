import { readSelfReport } from '@lfo/protocol';
import type { AnswerPart, DeviceMessage, MessageOf } from '@lfo/protocol';
import type { InferenceEvent, Usage } from '../../../core/events.ts';
import { checkUsage, type Exchanged } from './usage-check.ts';

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
      const { of, taken } = part;
      const scores = part.scores.map(({ token, lp, top }) => ({
        token,
        logprob: lp,
        taken,
        ...(top === undefined ? {} : { top: top.map((other) => ({ token: other.token, logprob: other.lp })) }),
      }));
      return { type: 'token-scores', scores, about: of === 'call' ? 'tool-call' : 'text' };
    }
  }
}

/**
 * The end of a device's answer: what the engine says of itself, if anything, and the finish. A count that cannot be is
 * replaced by the estimate.
 */
export function doneEvents(
  done: MessageOf<DeviceMessage, 'done'>,
  exchanged: Exchanged,
  estimate: Usage,
): InferenceEvent[] {
  const { confidence, handOff } = readSelfReport(done.self_report);
  const usage = checkUsage(done.usage, exchanged);
  const isWhole = usage.promptTokens !== undefined && usage.completionTokens !== undefined;
  const finish: InferenceEvent = {
    type: 'finish',
    reason: done.finish_reason,
    ...(done.cut === undefined ? {} : { nativeReason: done.cut }),
    usage: {
      promptTokens: estimate.promptTokens,
      completionTokens: estimate.completionTokens,
      ...usage,
      ...(isWhole ? {} : { estimated: true }),
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
