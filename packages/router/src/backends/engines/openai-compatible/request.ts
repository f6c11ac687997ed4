import type { CallContext } from '../../../core/backend.ts';
import { usesTools } from '../../../core/can-serve.ts';
import type { JsonObject, JsonValue } from '../../../core/json.ts';
import type {
  AssistantMessage,
  ChatRequest,
  ContentPart,
  Message,
  ResponseFormat,
  Sampling,
  ToolCall,
  ToolChoice,
  ToolSpec,
} from '../../../core/request.ts';
import { warnOfRareSampling } from '../../../core/unused-fields.ts';

/** How much a server is asked beyond what every one of them knows. */
export interface WireStyle {
  readonly stream: boolean;
  /** Ask for log-probabilities, for the client or for the gate. */
  readonly scores: boolean;
  /** Settings of sampling that local servers know beside OpenAI’s; absent: not. */
  readonly sampler?: boolean;
  /** OpenAI's newer models take how much is to be said; absent: not. */
  readonly verbosity?: boolean;
  /** OpenAI's newer models insist on the one, many other servers know only the other. */
  readonly maxTokensField: 'max_completion_tokens' | 'max_tokens';
  readonly dialect: 'standard' | 'google';
  /** The server holds an answer to a JSON schema; otherwise the model is told in words. */
  readonly jsonSchema: boolean;
}

/**
 * The text of the body of a chat completion: the client's own with another model, where that is all that would differ,
 * else written anew.
 */
export function requestText(request: ChatRequest, call: Pick<CallContext, 'model' | 'warn'>, style: WireStyle): string {
  return splicedText(request, call.model, style) ?? JSON.stringify(requestBody(request, call, style));
}

/** The client's text with the model put in; `undefined` where more than that would differ. */
export function splicedText({ source, stream }: ChatRequest, model: string, style: WireStyle): string | undefined {
  if (source === undefined || style.dialect !== 'standard' || style.scores || style.stream !== stream) return undefined;
  const { text, modelStart, modelEnd, hasStreamOptions, tokensField } = source;
  if (tokensField !== undefined && tokensField !== style.maxTokensField) return undefined;
  const head = `${text.slice(0, modelStart)}${JSON.stringify(model)}`;
  if (!stream || hasStreamOptions) return `${head}${text.slice(modelEnd)}`;
  return `${head}${text.slice(modelEnd, text.lastIndexOf('}'))},"stream_options":{"include_usage":true}}`;
}

/**
 * The body of a chat completion. Holds only what this function names: nothing unknown, no `metadata`, no `user`.
 * What the dialect cannot carry is left out with a warning.
 */
export function requestBody(
  request: ChatRequest,
  call: Pick<CallContext, 'model' | 'warn'>,
  style: WireStyle,
): JsonObject {
  const { tools, toolChoice, parallelToolCalls, responseFormat } = request;
  const hasTools = tools.length > 0;
  const lastWords = wantsThoughts(call.model, request) ? lastUserTurn(request.messages) : Infinity;
  const isSchemaInWords = responseFormat?.type === 'json_schema' && !style.jsonSchema;
  if (isSchemaInWords) call.warn('response_format', 'this backend enforces no JSON schema; it was asked for in words');
  return defined({
    model: call.model,
    messages: [
      ...(isSchemaInWords ? [{ role: 'system', content: schemaInWords(responseFormat.schema) }] : []),
      ...request.messages.map((message, i) => messageBody(message, style.dialect, i > lastWords)),
    ],
    tools: hasTools ? tools.map(toolBody) : undefined,
    tool_choice: hasTools && toolChoice !== undefined ? toolChoiceBody(toolChoice) : undefined,
    parallel_tool_calls: hasTools ? parallelToolCalls : undefined,
    response_format: responseFormat === undefined ? undefined : responseFormatBody(responseFormat, style),
    ...samplingBody(request, call, style),
    stream: style.stream ? true : undefined,
    stream_options: style.stream ? { include_usage: true } : undefined,
  });
}

function samplingBody({ sampling }: ChatRequest, call: Pick<CallContext, 'warn'>, style: WireStyle): Partial {
  const { logprobs, topLogprobs, logitBias } = sampling;
  const { topK, minP, repeatPenalty, verbosity } = sampling;
  warnOfRareSampling(
    { ...(style.sampler ? {} : { topK, minP, repeatPenalty }), ...(style.verbosity ? {} : { verbosity }) },
    (param, why) => call.warn(param, why),
    'this backend has no such setting',
  );
  if (logprobs && !style.scores) call.warn('logprobs', 'this backend gives no log-probabilities');
  const takesBias = style.dialect !== 'google';
  if (logitBias !== undefined && !takesBias) call.warn('logit_bias', 'this backend takes no biases');
  return {
    ...commonSampling(sampling),
    [style.maxTokensField]: sampling.maxTokens,
    logit_bias: takesBias ? logitBias : undefined,
    logprobs: style.scores ? true : undefined,
    top_logprobs: style.scores && logprobs ? topLogprobs : undefined,
    reasoning_effort: sampling.reasoningEffort,
    verbosity: style.verbosity ? verbosity : undefined,
    ...(style.sampler ? rareSampling(sampling) : {}),
  };
}

/** What has the same name on every route of every server. */
export function commonSampling({
  temperature,
  topP,
  stop,
  seed,
  frequencyPenalty,
  presencePenalty,
}: Sampling): Partial {
  return {
    temperature,
    top_p: topP,
    stop: stop.length > 0 ? stop : undefined,
    seed,
    frequency_penalty: frequencyPenalty,
    presence_penalty: presencePenalty,
  };
}

/** In the words of llama-server and of vLLM and SGLang, which leave each other's alone. */
export function rareSampling({ topK, minP, repeatPenalty }: Sampling): Partial {
  return { top_k: topK, min_p: minP, repeat_penalty: repeatPenalty, repetition_penalty: repeatPenalty };
}

function messageBody(message: Message, dialect: WireStyle['dialect'], wantsThought: boolean): JsonObject {
  switch (message.role) {
    case 'system':
    case 'developer':
      // Every server knows `system`; OpenAI itself reads it as `developer` where that is meant.
      return { role: 'system', content: contentBody(message.content) };
    case 'user':
      return { role: 'user', content: contentBody(message.content) };
    case 'tool':
      return { role: 'tool', tool_call_id: message.toolCallId, content: contentBody(message.content) };
    case 'assistant':
      return assistantBody(message, dialect, wantsThought);
    default:
      return message satisfies never;
  }
}

/**
 * Models that think between their calls and are trained to read those thoughts again: without them they begin anew with
 * each result (DeepSeek refuses the request).
 */
function wantsThoughts(model: string, request: ChatRequest): boolean {
  return /deepseek|qwen|kimi|glm|minimax/i.test(model) && usesTools(request);
}

/** Thoughts before the user's latest words are over, for the models too. */
function lastUserTurn(messages: readonly Message[]): number {
  return messages.findLastIndex(({ role }) => role === 'user');
}

function assistantBody(
  { content, toolCalls, reasoning }: AssistantMessage,
  dialect: WireStyle['dialect'],
  wantsThought: boolean,
): JsonObject {
  const text = content.length === 0 && toolCalls.length > 0 ? null : contentBody(content);
  const thought = wantsThought && reasoning !== undefined ? { reasoning_content: reasoning } : {};
  if (toolCalls.length === 0) return { role: 'assistant', content: text, ...thought };
  const calls = toolCalls.map((call) => toolCallBody(call, dialect));
  return { role: 'assistant', content: text, ...thought, tool_calls: calls };
}

/** A lone text goes as a string: that is what every server's template was tried with. */
function contentBody(parts: readonly ContentPart[]): JsonValue {
  const [first, second] = parts;
  if (first === undefined) return '';
  if (second === undefined && first.type === 'text') return first.text;
  return parts.map(partBody);
}

function partBody(part: ContentPart): JsonObject {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: part.text };
    case 'image':
      return { type: 'image_url', image_url: defined({ url: part.url, detail: part.detail }) };
    case 'audio':
      return { type: 'input_audio', input_audio: { data: part.data, format: part.format } };
    case 'file':
      return { type: 'file', file: defined({ file_data: part.data, filename: part.filename }) };
    default:
      return part satisfies never;
  }
}

function toolCallBody(call: ToolCall, dialect: WireStyle['dialect']): JsonObject {
  const signature = dialect === 'google' ? call.thoughtSignature : undefined;
  return defined({
    id: call.id,
    type: 'function',
    // Servers that parse the arguments back into an object trip over an empty text.
    function: { name: call.name, arguments: call.arguments.trim() === '' ? '{}' : call.arguments },
    extra_content: signature === undefined ? undefined : { google: { thought_signature: signature } },
  });
}

function toolBody({ name, description, parameters, strict }: ToolSpec): JsonObject {
  return { type: 'function', function: defined({ name, description, parameters, strict }) };
}

function toolChoiceBody(choice: ToolChoice): JsonValue {
  return choice.type === 'function' ? { type: 'function', function: { name: choice.name } } : choice.type;
}

function schemaInWords(schema: JsonObject | undefined): string {
  const form = schema === undefined ? '' : ` that fits this JSON Schema: ${JSON.stringify(schema)}`;
  return `Answer with one JSON object${form}. Write nothing else, no code fence.`;
}

function responseFormatBody(format: ResponseFormat, { jsonSchema }: WireStyle): JsonObject {
  if (format.type !== 'json_schema') return { type: format.type };
  if (!jsonSchema) return { type: 'json_object' };
  const { name, description, schema, strict } = format;
  return { type: 'json_schema', json_schema: defined({ name, description, schema, strict }) };
}

type Partial = Readonly<Record<string, JsonValue | undefined>>;

/** The object without its absent fields. */
function defined(fields: Partial): JsonObject {
  const body: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) body[name] = value;
  return body;
}
