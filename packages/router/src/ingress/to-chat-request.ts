import { RequestError } from '../core/errors.ts';
import type { ChatRequest, ResponseFormat, RoutingHints, Sampling } from '../core/request.ts';
import type { ChatBody } from './chat-body.ts';
import { assertTameSchema } from './schema-patterns.ts';
import { toMessages } from './to-messages.ts';
import { toToolset } from './to-tools.ts';

/** What ingress already knows of a request when its body has been validated. */
export interface RequestContext {
  readonly id: string;
  readonly model: string;
  readonly hints: RoutingHints;
  readonly bodyBytes: number;
  /** `http(s)` image URLs are passed on. */
  readonly fetchImages: boolean;
  /** Receives what cannot be honoured. */
  readonly warnings: Map<string, string>;
}

/** @throws RequestError for what fields say only together */
export function toChatRequest(body: ChatBody, context: RequestContext): ChatRequest {
  checkTogether(body);
  warnOfUnused(body, context.warnings);
  const { tools, toolChoice } = toToolset(body, context.warnings);
  const legacyFunctions = body.tools == null && body.functions != null;
  for (const [i, { parameters }] of tools.entries()) {
    assertTameSchema(parameters, legacyFunctions ? `functions[${i}].parameters` : `tools[${i}].function.parameters`);
  }
  const responseFormat = toResponseFormat(body);
  return {
    id: context.id,
    model: context.model,
    messages: toMessages(body.messages, context.fetchImages),
    tools,
    ...(toolChoice !== undefined && { toolChoice }),
    ...(body.parallel_tool_calls != null && { parallelToolCalls: body.parallel_tool_calls }),
    ...(responseFormat !== undefined && { responseFormat }),
    sampling: toSampling(body),
    stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true,
    legacyFunctions,
    choices: body.n ?? 1,
    hints: context.hints,
    bodyBytes: context.bodyBytes,
  };
}

/** Rules the document states in prose. */
function checkTogether(body: ChatBody): void {
  if (body.stream_options != null && body.stream !== true) {
    throw new RequestError('stream_options: only allowed with "stream": true.', { param: 'stream_options' });
  }
  if (body.top_logprobs != null && body.logprobs !== true) {
    throw new RequestError('top_logprobs: only allowed with "logprobs": true.', { param: 'top_logprobs' });
  }
  if (body.modalities?.includes('audio') && body.audio == null) {
    throw new RequestError('audio: is required with the modality audio.', { param: 'audio' });
  }
  if (body.function_call != null && typeof body.function_call !== 'string' && body.functions == null) {
    throw new RequestError('function_call: only allowed with functions.', { param: 'function_call' });
  }
}

function warnOfUnused(body: ChatBody, warnings: Map<string, string>): void {
  if ((body.n ?? 1) > 1) warnings.set('n', 'one choice is given');
  if (body.modalities?.includes('audio')) warnings.set('modalities', 'answers are text');
  if (body.audio != null) warnings.set('audio', 'answers are text');
  if (body.store === true) warnings.set('store', 'completions are not stored');
  if (body.prediction != null) warnings.set('prediction', 'not used');
  if (body.moderation != null) warnings.set('moderation', 'no moderation is run');
  if (body.web_search_options != null) warnings.set('web_search_options', 'no web search is run');
  if (body.verbosity != null) warnings.set('verbosity', 'not used');
  if (body.prompt_cache_options != null) warnings.set('prompt_cache_options', 'not used');
  if (body.prompt_cache_retention != null) warnings.set('prompt_cache_retention', 'not used');
  if (body.service_tier != null && body.service_tier !== 'auto' && body.service_tier !== 'default') {
    warnings.set('service_tier', 'there is one tier of service');
  }
  if (body.stream_options?.include_obfuscation === true) warnings.set('stream_options.include_obfuscation', 'not used');
  if (body.functions != null && body.tools != null) warnings.set('functions', 'tools are used instead');
}

function toSampling(body: ChatBody): Sampling {
  const maxTokens = body.max_completion_tokens ?? body.max_tokens;
  const stop = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []);
  return {
    ...(body.temperature != null && { temperature: body.temperature }),
    ...(body.top_p != null && { topP: body.top_p }),
    ...(maxTokens != null && { maxTokens }),
    // An empty stop sequence would stop before the first token: no client means that.
    stop: stop.filter((sequence) => sequence !== ''),
    ...(body.seed != null && { seed: body.seed }),
    ...(body.frequency_penalty != null && { frequencyPenalty: body.frequency_penalty }),
    ...(body.presence_penalty != null && { presencePenalty: body.presence_penalty }),
    ...(body.logit_bias != null && { logitBias: body.logit_bias }),
    logprobs: body.logprobs === true,
    ...(body.top_logprobs != null && { topLogprobs: body.top_logprobs }),
    ...(body.reasoning_effort != null && { reasoningEffort: body.reasoning_effort }),
  };
}

function toResponseFormat(body: ChatBody): ResponseFormat | undefined {
  const wire = body.response_format;
  if (wire == null) return undefined;
  if (wire.type !== 'json_schema') return { type: wire.type };
  const { name, description, schema, strict } = wire.json_schema;
  assertTameSchema(schema, 'response_format.json_schema.schema');
  return {
    type: 'json_schema',
    name,
    ...(description != null && { description }),
    ...(schema != null && { schema }),
    ...(strict != null && { strict }),
  };
}
