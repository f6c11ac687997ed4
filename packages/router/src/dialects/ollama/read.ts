import * as z from 'zod';
import { RequestError } from '../../core/errors.ts';
import type { ChatRequest, ContentPart, Continuation, ResponseFormat, Sampling, ToolCall } from '../../core/request.ts';
import { Conversation, textPart } from '../conversation.ts';
import type { Effort } from '../effort.ts';
import { isGiven } from '../given.ts';
import { readImageUrl } from '../images.ts';
import { requestErrorOf } from '../issues.ts';
import { jsonObject, maxParts } from '../json-fields.ts';
import { mendedArguments } from '../mended-calls.ts';
import { addressOf, type ReaderDeps, type Received, warnOfLoops } from '../reading.ts';
import { assertTameSchema, patternCharsPerRequest } from '../schema-patterns.ts';
import { FlatTools } from '../tools.ts';
import type { ReadRequest } from '../wire.ts';
import { OllamaFormat } from './ollama-format.ts';

const options = z
  .object({
    temperature: z.number().min(0).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    top_k: z.number().int().min(0).nullish(),
    seed: z.number().int().nullish(),
    stop: z.union([z.string(), z.array(z.string()).max(64)]).nullish(),
    min_p: z.number().min(0).max(1).nullish(),
    repeat_penalty: z.number().min(0).max(10).nullish(),
    num_predict: z.number().int().min(-2).nullish(),
    presence_penalty: z.number().min(-2).max(2).nullish(),
    frequency_penalty: z.number().min(-2).max(2).nullish(),
  })
  .nullish();

const images = z.array(z.string().min(1)).max(maxParts).nullish();
const format = z.union([z.literal(''), z.literal('json'), jsonObject], 'must be "json" or a JSON schema').nullish();
const think = z.union([z.boolean(), z.enum(['low', 'medium', 'high', 'max'])]).nullish();
const keepAlive = z.union([z.string(), z.number()]).nullish();

const call = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string().min(1), arguments: z.union([jsonObject, z.string()]).nullish() }),
});

const message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool', 'developer']),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images,
  tool_calls: z.array(call).max(maxParts).nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
});

const tool = z.looseObject({
  type: z.string().nullish(),
  function: z
    .looseObject({ name: z.string().min(1), description: z.string().nullish(), parameters: jsonObject.nullish() })
    .nullish(),
});

export interface OllamaLimits {
  readonly messages: number;
  readonly tools: number;
}

const common = {
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  options,
  format,
  think,
  keep_alive: keepAlive,
};

function chatBodySchema({ messages, tools }: OllamaLimits) {
  return z.object({
    ...common,
    messages: z.array(message).max(messages).nullish(),
    tools: z.array(tool).max(tools).nullish(),
  });
}

const generateBody = z.object({
  ...common,
  prompt: z.string().nullish(),
  system: z.string().nullish(),
  suffix: z.string().nullish(),
  images,
  raw: z.boolean().nullish(),
  template: z.string().nullish(),
});

type ChatBody = z.infer<ReturnType<typeof chatBodySchema>>;
type GenerateBody = z.infer<typeof generateBody>;

/** Nothing to answer: Ollama's way to load a model or, kept for no time, to unload it. */
export interface LoadRequest {
  readonly doneReason: 'load' | 'unload';
  readonly model: string;
  readonly form: 'chat' | 'generate';
}

export type ReadOllama = ReadRequest | LoadRequest;

/** Readers of `/api/chat` and `/api/generate`. @throws RequestError, LfoError 403 or 404 */
export function ollamaReaders(deps: ReaderDeps) {
  const chatSchema = chatBodySchema(deps.limits);
  return {
    chat(received: Received): ReadOllama {
      const parsed = chatSchema.safeParse(received.body.value);
      if (!parsed.success) throw requestErrorOf(parsed.error);
      const body = parsed.data;
      if (!isGiven(body.messages) || body.messages.length === 0) return loadOf(body, 'chat', received, deps);
      const warnings = new Map<string, string>();
      const conversation = new Conversation(warnings);
      const tools = toTools(body.tools, warnings);
      const made: MadeCall[] = [];
      for (const [i, one] of body.messages.entries())
        addMessage(one, `messages[${i}]`, conversation, made, { ...deps, tools, warnings });
      return toRequest({ body, conversation, tools, param: 'messages', form: 'chat', warnings }, received, deps);
    },
    generate(received: Received): ReadOllama {
      const parsed = generateBody.safeParse(received.body.value);
      if (!parsed.success) throw requestErrorOf(parsed.error);
      const body = parsed.data;
      if (!isGiven(body.prompt) || body.prompt === '') return loadOf(body, 'generate', received, deps);
      const warnings = new Map<string, string>();
      if (isGiven(body.template) && body.template !== '') warnings.set('template', 'the model’s own template is used');
      const conversation = new Conversation(warnings);
      conversation.instruction('system', isGiven(body.system) ? [deps.canonicalHead(body.system)] : []);
      conversation.user([textPart(body.prompt), ...pictures(body.images, 'images')]);
      const continuation = continuationOf(body.prompt, body, warnings);
      return toRequest(
        { body, conversation, continuation, tools: new FlatTools(), param: 'prompt', form: 'generate', warnings },
        received,
        deps,
      );
    },
  };
}

/** Names with and without the tag that stands for the newest. */
export function withoutLatest(name: string): string {
  return name.replace(/:latest$/, '');
}

function loadOf(
  body: ChatBody | GenerateBody,
  form: LoadRequest['form'],
  received: Received,
  deps: ReaderDeps,
): LoadRequest {
  const model = withoutLatest(body.model ?? '');
  const address = addressOf(received, { model: model === '' ? null : model, isStream: false }, deps);
  const isUnload = body.keep_alive === 0 || body.keep_alive === '0' || body.keep_alive === '0s';
  return { doneReason: isUnload ? 'unload' : 'load', model: address.askedModel, form };
}

/** A prompt without a template, or with what comes after the gap that is to be filled: texts, and nothing beside them. */
function continuationOf(
  prompt: string,
  { suffix, raw, system, images: sent, format }: GenerateBody,
  warnings: Map<string, string>,
): Continuation | undefined {
  const isPlain = (sent ?? []).length === 0 && toResponseFormat(format) === undefined;
  if (isGiven(suffix) && suffix !== '') {
    if (!isPlain) throw new RequestError('suffix: not with images or a format; leave one out.', { param: 'suffix' });
    if (isGiven(system) && system !== '') warnings.set('system', 'not used beside suffix');
    return { prompt: prompt.toWellFormed(), suffix: suffix.toWellFormed() };
  }
  if (raw !== true) return undefined;
  if (isPlain && (!isGiven(system) || system === '')) return { prompt: prompt.toWellFormed() };
  warnings.set('raw', 'the model’s own template is used with a system text, images or a format');
  return undefined;
}

interface Told {
  readonly body: ChatBody | GenerateBody;
  readonly conversation: Conversation;
  readonly continuation?: Continuation | undefined;
  readonly tools: FlatTools;
  readonly param: string;
  readonly form: 'chat' | 'generate';
  readonly warnings: Map<string, string>;
}

function toRequest(
  { body, conversation, continuation, tools, param, form, warnings }: Told,
  received: Received,
  deps: ReaderDeps,
): ReadRequest {
  const isStream = body.stream !== false;
  const address = addressOf(
    received,
    { model: isGiven(body.model) ? withoutLatest(body.model) : null, isStream },
    deps,
  );
  const messages = conversation.end(param);
  warnOfLoops(messages, warnings);
  const responseFormat = toResponseFormat(body.format);
  const request: ChatRequest = {
    id: received.id,
    model: address.model,
    messages,
    tools: tools.specs,
    ...(responseFormat !== undefined && { responseFormat }),
    sampling: toSampling(body, warnings),
    stream: isStream,
    ...(continuation !== undefined && { continuation }),
    hints: address.hints,
    bodyBytes: received.body.bytes,
  };
  const isThinkingShown = isGiven(body.think) && body.think !== false;
  return {
    request,
    warnings,
    format: new OllamaFormat({ request, model: body.model ?? address.askedModel, tools, form, isThinkingShown }),
  };
}

interface MadeCall {
  readonly id: string;
  readonly name: string;
  isAnswered: boolean;
}

function addMessage(
  {
    role,
    content,
    thinking,
    images: sent,
    tool_calls: calls,
    tool_name: toolName,
    tool_call_id: toolCallId,
  }: z.infer<typeof message>,
  param: string,
  conversation: Conversation,
  made: MadeCall[],
  {
    tools,
    warnings,
    canonicalHead,
  }: { readonly tools: FlatTools; readonly warnings: Map<string, string> } & Pick<ReaderDeps, 'canonicalHead'>,
): void {
  const text = content ?? '';
  switch (role) {
    case 'system':
    case 'developer':
      return conversation.instruction(role, [canonicalHead(text)]);
    case 'user':
      return conversation.user([...(text === '' ? [] : [textPart(text)]), ...pictures(sent, `${param}.images`)]);
    case 'assistant': {
      const toolCalls = (calls ?? []).map(({ id, function: { name, arguments: args } }): ToolCall => {
        const ownId = id ?? `call_${made.length}`;
        made.push({ id: ownId, name, isAnswered: false });
        const json = typeof args === 'string' ? mendedArguments(args, warnings) : JSON.stringify(args ?? {});
        return { id: ownId, name: tools.flatName(name), arguments: json };
      });
      conversation.thought(thinking ?? '');
      return conversation.assistant([text], toolCalls);
    }
    case 'tool': {
      const open = made.filter(({ isAnswered }) => !isAnswered);
      const answered =
        made.find(({ id }) => id === toolCallId) ?? open.find(({ name }) => name === toolName) ?? open[0];
      if (answered !== undefined) answered.isAnswered = true;
      conversation.result(answered?.id ?? toolCallId ?? toolName ?? '', text, param);
      // They follow the result as the user's, since results are texts.
      return conversation.user(pictures(sent, `${param}.images`));
    }
  }
}

function pictures(sent: readonly string[] | null | undefined, param: string): readonly ContentPart[] {
  return (sent ?? []).map((data, i) => ({ type: 'image', url: readImageUrl(data, `${param}[${i}]`, false) }));
}

function toTools(sent: ChatBody['tools'], warnings: Map<string, string>): FlatTools {
  const tools = new FlatTools();
  const patterns = { left: patternCharsPerRequest };
  for (const [i, { function: spec }] of (sent ?? []).entries()) {
    if (!isGiven(spec)) {
      warnings.set('tools', 'tools that are no functions are not offered to the model');
      continue;
    }
    const { name, description, parameters } = spec;
    if (isGiven(parameters)) assertTameSchema(parameters, `tools[${i}].function.parameters`, patterns);
    tools.add({ name }, { ...(isGiven(description) && { description }), ...(isGiven(parameters) && { parameters }) });
  }
  return tools;
}

function toResponseFormat(sent: ChatBody['format']): ResponseFormat | undefined {
  if (!isGiven(sent) || sent === '') return undefined;
  if (sent === 'json') return { type: 'json_object' };
  assertTameSchema(sent, 'format', { left: patternCharsPerRequest });
  return { type: 'json_schema', name: 'answer', schema: sent };
}

const maxStops = 5;

function toSampling(
  { options: sent, think: thinking }: ChatBody | GenerateBody,
  warnings: Map<string, string>,
): Sampling {
  const stops = typeof sent?.stop === 'string' ? [sent.stop] : (sent?.stop ?? []);
  const given = stops.filter((text) => text !== '');
  if (given.length > maxStops) warnings.set('options.stop', `the first ${maxStops} are used`);
  const effort = effortOf(thinking);
  const limit = sent?.num_predict;
  return {
    ...(isGiven(sent?.temperature) && { temperature: Math.min(2, sent.temperature) }),
    ...(isGiven(sent?.top_p) && { topP: sent.top_p }),
    ...(isGiven(sent?.top_k) && sent.top_k > 0 && { topK: sent.top_k }),
    ...(isGiven(sent?.min_p) && sent.min_p > 0 && { minP: sent.min_p }),
    ...(isGiven(sent?.repeat_penalty) && sent.repeat_penalty > 0 && { repeatPenalty: sent.repeat_penalty }),
    ...(isGiven(limit) && limit > 0 && { maxTokens: limit }),
    stop: given.slice(0, maxStops),
    ...(isGiven(sent?.seed) && { seed: sent.seed }),
    ...(isGiven(sent?.presence_penalty) && { presencePenalty: sent.presence_penalty }),
    ...(isGiven(sent?.frequency_penalty) && { frequencyPenalty: sent.frequency_penalty }),
    logprobs: false,
    ...(effort !== undefined && { reasoningEffort: effort }),
  };
}

function effortOf(thinking: ChatBody['think']): Effort | undefined {
  if (thinking === false) return 'none';
  return typeof thinking === 'string' ? thinking : undefined;
}
