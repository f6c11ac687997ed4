import { isJsonObject, type JsonObject, type JsonValue } from '../../../core/json.ts';
import type { Continuation, Sampling } from '../../../core/request.ts';
import { commonSampling } from './request.ts';

/** The body of llama-server's `/infill`, which has words of its own. @param alternatives beside each score; absent: no scores */
export function infillBody(
  { prompt, suffix = '' }: Continuation,
  sampling: Sampling,
  {
    model,
    stream,
    alternatives,
  }: { readonly model: string; readonly stream: boolean; readonly alternatives: number | undefined },
): object {
  return {
    model,
    input_prefix: prompt,
    input_suffix: suffix,
    n_predict: sampling.maxTokens,
    ...commonSampling(sampling),
    logit_bias: sampling.logitBias,
    n_probs: alternatives,
    stream,
  };
}

/** One answer of it, or a part of one, as a completion; what is none, an error say, as it came. */
export function completionOf(value: JsonValue | undefined): JsonValue | undefined {
  if (!isJsonObject(value) || typeof value['content'] !== 'string') return value;
  const { content, stop, model } = value;
  const scores = value['completion_probabilities'];
  const choice: JsonObject = {
    text: content,
    ...(Array.isArray(scores) && { logprobs: { content: scores } }),
    ...(stop === true && { finish_reason: wordFor(value), stop_reason: value['stopping_word'] ?? null }),
  };
  return {
    ...(typeof model === 'string' && { model }),
    choices: [choice],
    ...(stop === true && { usage: usageIn(value) }),
  };
}

/** Older versions say by a flag what newer ones say by a word. */
function wordFor({ stop_type: type, stopped_limit: isLimit }: JsonObject): string {
  return type === 'limit' || isLimit === true ? 'length' : 'stop';
}

function usageIn({ tokens_evaluated: read, tokens_predicted: written, timings }: JsonObject): JsonValue {
  const cached = isJsonObject(timings) ? timings['cache_n'] : undefined;
  return {
    prompt_tokens: read ?? null,
    completion_tokens: written ?? null,
    ...(cached !== undefined && { prompt_tokens_details: { cached_tokens: cached } }),
  };
}
