import { RequestError } from '../../core/errors.ts';
import type { ChatRequest, ResponseFormat, RoutingHints, Sampling } from '../../core/request.ts';
import type { ChatBody } from './chat-body.ts';
import { isGiven } from '../given.ts';
import { assertTameSchema, type PatternBudget, patternCharsPerRequest } from '../schema-patterns.ts';
import { type MessageContext, toMessages } from './to-messages.ts';
import { toToolset } from './to-tools.ts';

/** What is known of a request once its body has been validated. */
export interface RequestContext extends MessageContext {
  readonly id: string;
  readonly model: string;
  readonly hints: RoutingHints;
  readonly bodyBytes: number;
}

/** @throws RequestError for what fields say only together */
export function toChatRequest(body: ChatBody, context: RequestContext): ChatRequest {
  checkTogether(body);
  warnOfUnused(body, context.warnings);
  const { tools, toolChoice } = toToolset(body, context.warnings);
  const patterns: PatternBudget = { left: patternCharsPerRequest };
  const legacyFunctions = !isGiven(body.tools) && isGiven(body.functions);
  for (const [i, { parameters }] of tools.entries()) {
    const param = legacyFunctions ? `functions[${i}].parameters` : `tools[${i}].function.parameters`;
    assertTameSchema(parameters, param, patterns);
  }
  const responseFormat = toResponseFormat(body, patterns);
  return {
    id: context.id,
    model: context.model,
    messages: toMessages(body.messages, context),
    tools,
    ...(toolChoice !== undefined && { toolChoice }),
    ...(isGiven(body.parallel_tool_calls) && { parallelToolCalls: body.parallel_tool_calls }),
    ...(responseFormat !== undefined && { responseFormat }),
    sampling: toSampling(body),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    legacyFunctions,
    hints: context.hints,
    bodyBytes: context.bodyBytes,
  };
}

/** Rules the document states in prose. */
function checkTogether(body: ChatBody): void {
  if (isGiven(body.stream_options) && body.stream !== true) {
    throw new RequestError('stream_options: only allowed with "stream": true.', { param: 'stream_options' });
  }
  if (isGiven(body.top_logprobs) && body.logprobs !== true) {
    throw new RequestError('top_logprobs: only allowed with "logprobs": true.', { param: 'top_logprobs' });
  }
  if (body.modalities?.includes('audio') && !isGiven(body.audio)) {
    throw new RequestError('audio: is required with the modality audio.', { param: 'audio' });
  }
  if (isGiven(body.function_call) && typeof body.function_call !== 'string' && !isGiven(body.functions)) {
    throw new RequestError('function_call: only allowed with functions.', { param: 'function_call' });
  }
}

function warnOfUnused(body: ChatBody, warnings: Map<string, string>): void {
  if ((body.n ?? 1) > 1) warnings.set('n', 'one choice is given');
  if (body.modalities?.includes('audio')) warnings.set('modalities', 'answers are text');
  if (isGiven(body.audio)) warnings.set('audio', 'answers are text');
  if (body.store === true) warnings.set('store', 'completions are not stored');
  if (isGiven(body.prediction)) warnings.set('prediction', 'not used');
  if (isGiven(body.moderation)) warnings.set('moderation', 'no moderation is run');
  if (isGiven(body.web_search_options)) warnings.set('web_search_options', 'no web search is run');
  if (isGiven(body.prompt_cache_options)) warnings.set('prompt_cache_options', 'not used');
  if (isGiven(body.prompt_cache_retention)) warnings.set('prompt_cache_retention', 'not used');
  if (isGiven(body.service_tier) && !['auto', 'default', 'flex'].includes(body.service_tier)) {
    warnings.set('service_tier', 'there is one tier of service; flex waits for everybody else');
  }
  if (body.stream_options?.include_obfuscation === true) warnings.set('stream_options.include_obfuscation', 'not used');
  if (isGiven(body.functions) && isGiven(body.tools)) warnings.set('functions', 'tools are used instead');
}

function toSampling(body: ChatBody): Sampling {
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  const stop = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []);
  return {
    ...(isGiven(body.temperature) && { temperature: body.temperature }),
    ...(isGiven(body.top_p) && { topP: body.top_p }),
    ...(isGiven(maxTokens) && { maxTokens }),
    // An empty stop sequence would stop before the first token: no client means that.
    stop: stop.filter((sequence) => sequence !== ''),
    ...(isGiven(body.seed) && { seed: body.seed }),
    ...(isGiven(body.frequency_penalty) && { frequencyPenalty: body.frequency_penalty }),
    ...(isGiven(body.presence_penalty) && { presencePenalty: body.presence_penalty }),
    ...(isGiven(body.verbosity) && { verbosity: body.verbosity }),
    ...(isGiven(body.logit_bias) && { logitBias: body.logit_bias }),
    logprobs: body.logprobs === true,
    ...(isGiven(body.top_logprobs) && { topLogprobs: body.top_logprobs }),
    ...(isGiven(body.reasoning_effort) && { reasoningEffort: body.reasoning_effort }),
  };
}

function toResponseFormat(body: ChatBody, patterns: PatternBudget): ResponseFormat | undefined {
  const wire = body.response_format;
  if (!isGiven(wire)) return undefined;
  if (wire.type !== 'json_schema') return { type: wire.type };
  const { name, description, schema, strict } = wire.json_schema;
  assertTameSchema(schema, 'response_format.json_schema.schema', patterns);
  return {
    type: 'json_schema',
    name,
    ...(isGiven(description) && { description }),
    ...(isGiven(schema) && { schema }),
    ...(isGiven(strict) && { strict }),
  };
}
