import { RequestError } from '../../../core/errors.ts';
import type { ChatRequest, Sampling } from '../../../core/request.ts';
import { warnOfRareSampling } from '../../../core/unused-fields.ts';
import type { ModelTraits } from './models.ts';
import { thinkingBudget, thinkingLevel } from './models.ts';
import { responseSite, translateResponseSchema } from './schema.ts';
import type { GenerationConfig, ThinkingConfig } from './wire.ts';

/** What a request is translated for. */
export interface GenerationContext {
  readonly traits: ModelTraits;
  /** The gate wants scores though the client asked for none. */
  readonly wantScores: boolean;
  readonly warn: (param: string, why: string) => void;
}

const maxStops = 5;

/** Sampling, thinking and the form of the answer; what the model refuses is left out and named by `warn`. */
export function translateGeneration(request: ChatRequest, context: GenerationContext): GenerationConfig {
  const { temperature, topP, topK, maxTokens, stop, seed } = request.sampling;
  if (stop.length > maxStops)
    throw new RequestError(`Gemini takes at most ${maxStops} stop sequences.`, { param: 'stop' });
  if (request.sampling.logitBias !== undefined) context.warn('logit_bias', 'Gemini has no such setting.');
  const { minP, repeatPenalty, verbosity } = request.sampling;
  warnOfRareSampling({ minP, repeatPenalty, verbosity }, context.warn, 'Gemini has no such setting.');
  const thinkingConfig = translateThinking(request.sampling, context);
  return {
    ...(maxTokens === undefined ? {} : { maxOutputTokens: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(stop.length === 0 ? {} : { stopSequences: stop }),
    // Gemini's seed is an int32: the lower 32 bits.
    ...(seed === undefined ? {} : { seed: seed | 0 }),
    ...penalties(request.sampling, context),
    ...scores(request.sampling, context),
    ...answerForm(request, context),
    ...(thinkingConfig === undefined ? {} : { thinkingConfig }),
  };
}

/** Whether JSON must be asked for in words: before Gemini 3, tools and a JSON answer exclude each other. */
export function jsonByInstruction(request: ChatRequest, traits: ModelTraits): boolean {
  return wantsJson(request) && request.tools.length > 0 && !traits.toolsWithJson;
}

/** The words for `jsonByInstruction`. */
export function jsonInstruction(request: ChatRequest): string {
  const format = request.responseFormat;
  const schema = format?.type === 'json_schema' && format.schema !== undefined ? format.schema : undefined;
  const form = schema === undefined ? '' : ` that fits this JSON Schema: ${JSON.stringify(schema)}`;
  return `When you answer without calling a function, answer with one JSON object${form}. Write nothing else, no code fence.`;
}

function wantsJson({ responseFormat }: ChatRequest): boolean {
  return responseFormat !== undefined && responseFormat.type !== 'text';
}

function answerForm(request: ChatRequest, { traits, warn }: GenerationContext): GenerationConfig {
  const format = request.responseFormat;
  if (format === undefined || !wantsJson(request)) return {};
  if (jsonByInstruction(request, traits)) {
    warn('response_format', 'This model enforces no JSON beside tools; it was asked for in words.');
    return {};
  }
  const responseMimeType = 'application/json';
  if (format.type !== 'json_schema' || format.schema === undefined) return { responseMimeType };
  const schema = translateResponseSchema(format.schema, traits.responseSchema, responseSite);
  return traits.responseSchema === 'json'
    ? { responseMimeType, responseJsonSchema: schema }
    : { responseMimeType, responseSchema: schema };
}

function penalties(
  { presencePenalty, frequencyPenalty }: Sampling,
  { traits, warn }: GenerationContext,
): GenerationConfig {
  const given = {
    ...(presencePenalty === undefined || presencePenalty === 0 ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined || frequencyPenalty === 0 ? {} : { frequencyPenalty }),
  };
  if (traits.penalties) return given;
  if ('presencePenalty' in given) warn('presence_penalty', 'This model takes no penalties.');
  if ('frequencyPenalty' in given) warn('frequency_penalty', 'This model takes no penalties.');
  return {};
}

function scores(
  { logprobs, topLogprobs }: Sampling,
  { traits, wantScores, warn }: GenerationContext,
): GenerationConfig {
  if (!traits.logprobs) {
    if (logprobs) warn('logprobs', 'This model gives no log-probabilities.');
    return {};
  }
  if (!logprobs) return wantScores ? { responseLogprobs: true } : {};
  return { responseLogprobs: true, ...(topLogprobs === undefined ? {} : { logprobs: topLogprobs }) };
}

function translateThinking(
  { reasoningEffort }: Sampling,
  { traits, warn }: GenerationContext,
): ThinkingConfig | undefined {
  const { thinking } = traits;
  if (reasoningEffort === undefined) return signsOfLife(traits);
  if (thinking.type === 'fixed') {
    warn('reasoning_effort', 'This model leaves no choice of effort.');
    return undefined;
  }
  const isOff = reasoningEffort === 'none';
  const shown = isOff || !traits.thoughts ? {} : { includeThoughts: true };
  if (thinking.type === 'level') {
    if (isOff) warn('reasoning_effort', 'This model always thinks; the lowest level was taken.');
    return { ...shown, thinkingLevel: thinkingLevel(reasoningEffort, thinking) };
  }
  if (isOff && !thinking.off) warn('reasoning_effort', 'This model always thinks; the smallest budget was taken.');
  return { ...shown, thinkingBudget: thinkingBudget(reasoningEffort, thinking) };
}

/** Thoughts nobody asked to see are asked for all the same: while they come, the model is known to be at work. */
function signsOfLife({ thinking, thoughts }: ModelTraits): ThinkingConfig | undefined {
  const thinks = thinking.type === 'level' || (thinking.type === 'budget' && thinking.unasked);
  return thinks && thoughts ? { includeThoughts: true } : undefined;
}
