import type { InferenceEvent } from '../core/events.ts';
import type { JudgedAnswer } from '../core/confidence.ts';
import type { ChatRequest, ToolSpec } from '../core/request.ts';

/** For tests: what an estimator knows of a streamed answer to `request`. */
export function judged(request: ChatRequest, threshold: number): JudgedAnswer {
  return { request, threshold, model: { model: 'test' }, delivery: 'stream' };
}

/** For tests: an answer in text, one event and one score a token; a bare number of logprobs sets the tokens. */
export function textAnswer(logprobs: readonly number[], pieces?: readonly string[]): readonly InferenceEvent[] {
  return [
    { type: 'start', model: 'test' },
    ...logprobs.flatMap((logprob, index): readonly InferenceEvent[] => {
      const token = pieces?.[index] ?? `t${index} `;
      return [
        { type: 'token-scores', about: 'text', scores: [{ token, logprob }] },
        { type: 'text-delta', text: token },
      ];
    }),
    finish(logprobs.length),
  ];
}

/** For tests: an answer of tool calls, all of whose tokens together have `surprise` nats. */
export function callAnswer(
  calls: readonly (readonly [name: string, json: string])[],
  surprise?: number,
): readonly InferenceEvent[] {
  const score = { token: 'call', logprob: -(surprise ?? 0) };
  return [
    { type: 'start', model: 'test' },
    ...(surprise === undefined
      ? []
      : [{ type: 'token-scores' as const, about: 'tool-call' as const, scores: [score] }]),
    ...calls.flatMap(([name, json], index): readonly InferenceEvent[] => [
      { type: 'tool-call-start', index, id: `call${index}`, name },
      { type: 'tool-call-delta', index, json: json.slice(0, 3) },
      { type: 'tool-call-delta', index, json: json.slice(3) },
      { type: 'tool-call-end', index },
    ]),
    { type: 'finish', reason: 'tool_calls', usage: { promptTokens: 10, completionTokens: 20 } },
  ];
}

/** For tests: the end of an answer. */
export function finish(completionTokens: number, reason: 'stop' | 'length' = 'stop'): InferenceEvent {
  return { type: 'finish', reason, usage: { promptTokens: 10, completionTokens } };
}

/** For tests: the tool of the classic example. */
export const weatherTool: ToolSpec = {
  name: 'get_weather',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string' },
      unit: { type: 'string', enum: ['c', 'f'] },
      days: { type: 'integer', minimum: 1, maximum: 7, default: 1 },
    },
    required: ['city'],
  },
};
