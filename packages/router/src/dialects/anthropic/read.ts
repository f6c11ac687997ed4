import { RequestError } from '../../core/errors.ts';
import type { ChatRequest, ContentPart, Sampling, ToolCall } from '../../core/request.ts';
import { Conversation, textPart } from '../conversation.ts';
import { type Effort, effortOfBudget } from '../effort.ts';
import { isGiven } from '../given.ts';
import { readImageUrl } from '../images.ts';
import { requestErrorOf } from '../issues.ts';
import { type Address, addressOf, type ReaderDeps, type Received, warnOfLoops } from '../reading.ts';
import { assertTameSchema, patternCharsPerRequest } from '../schema-patterns.ts';
import type { FlatTools } from '../tools.ts';
import type { ReadRequest } from '../wire.ts';
import { MessagesFormat } from './messages-format.ts';
import { readTools } from './read-tools.ts';
import {
  type CountBody,
  countBodySchema,
  type MessagesBody,
  messagesBodySchema,
  type WireBlock,
  type WireMessage,
  type WireResultBlock,
} from './schema.ts';

type Warnings = Map<string, string>;

/** Largest number of stop sequences that every backend takes. */
const maxStops = 5;

/** Readers of `POST /v1/messages` and its `count_tokens`. @throws RequestError, LfoError 403 or 404 */
export function messagesReader(deps: ReaderDeps) {
  const schema = messagesBodySchema(deps.limits);
  const countSchema = countBodySchema(deps.limits);
  return {
    read(received: Received): ReadRequest {
      const parsed = schema.safeParse(received.body.value);
      if (!parsed.success) throw requestErrorOf(parsed.error);
      return toRequest(parsed.data, received, deps);
    },
    readCount(received: Received): ReadRequest {
      const parsed = countSchema.safeParse(received.body.value);
      if (!parsed.success) throw requestErrorOf(parsed.error);
      return toRequest(parsed.data, received, deps);
    },
  };
}

function toRequest(body: MessagesBody | CountBody, received: Received, deps: ReaderDeps): ReadRequest {
  const warnings: Warnings = new Map();
  const { user_id: user, ...metadata } = body.metadata ?? {};
  const address = addressOf(
    received,
    {
      model: body.model,
      metadata,
      conversation: typeof user === 'string' ? user : undefined,
      isStream: body.stream === true,
    },
    deps,
  );
  const { tools, toolChoice } = readTools(body, warnings);
  const conversation = new Conversation(warnings);
  conversation.instruction('system', systemTexts(body.system).map(deps.canonicalHead));
  const lastWords = body.messages.findLastIndex(({ role }) => role === 'user');
  for (const [i, message] of body.messages.entries()) {
    const isCleared = message.role === 'system' && message.clear_at === 'next_user_message' && i < lastWords;
    if (!isCleared) addMessage(message, `messages[${i}]`, { conversation, address, tools });
  }
  const messages = conversation.end('messages');
  warnOfLoops(messages, warnings);
  warnOfUnused(body, warnings);
  const effort = effortOf(body, warnings);
  const format = body.output_config?.format ?? body.output_format;
  if (isGiven(format)) {
    assertTameSchema(format.schema, 'output_config.format.schema', { left: patternCharsPerRequest });
  }
  const request: ChatRequest = {
    id: received.id,
    model: address.model,
    messages,
    tools: tools.specs,
    ...(toolChoice !== undefined && { toolChoice }),
    ...(isParallelDisabled(body) && { parallelToolCalls: false }),
    ...(isGiven(format) && { responseFormat: { type: 'json_schema', name: 'answer', schema: format.schema } as const }),
    sampling: toSampling(body, effort, warnings),
    stream: body.stream === true,
    hints: address.hints,
    bodyBytes: received.body.bytes,
  };
  const isThinkingShown = isGiven(body.thinking) && body.thinking.type !== 'disabled';
  return { request, warnings, format: new MessagesFormat(request, address.askedModel, tools, isThinkingShown) };
}

function systemTexts(system: MessagesBody['system']): readonly string[] {
  if (!isGiven(system)) return [];
  return typeof system === 'string' ? [system] : system.map(({ text }) => text);
}

interface Building {
  readonly conversation: Conversation;
  readonly address: Address;
  readonly tools: FlatTools;
}

function addMessage({ role, content }: WireMessage, param: string, building: Building): void {
  const blocks: readonly WireBlock[] =
    typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []);
  const { conversation, tools } = building;
  if (role === 'system') return conversation.reminder(textsOf(blocks).join('\n'));
  if (role === 'assistant') {
    for (const block of blocks) if (block.type === 'thinking') conversation.thought(block.thinking);
    return conversation.assistant(
      textsOf(blocks),
      blocks.flatMap((block) => toolCall(block, tools)),
    );
  }
  const pictures: ContentPart[] = [];
  for (const [i, block] of blocks.entries()) {
    if (block.type === 'tool_result') addResult(block, `${param}.content[${i}]`, building, pictures);
  }
  const words = blocks.flatMap((block, i) => userParts(block, `${param}.content[${i}]`, building));
  conversation.user([...pictures, ...words]);
}

function textsOf(blocks: readonly WireBlock[]): readonly string[] {
  return blocks.flatMap((block) => (block.type === 'text' ? [block.text] : []));
}

function toolCall(block: WireBlock, tools: FlatTools): readonly ToolCall[] {
  if (block.type !== 'tool_use') return [];
  return [{ id: block.id, name: tools.flatName(block.name), arguments: JSON.stringify(block.input) }];
}

/** Pictures of a result follow it as the user's, since results are texts. */
function addResult(
  block: Extract<WireBlock, { type: 'tool_result' }>,
  param: string,
  { conversation, address }: Building,
  pictures: ContentPart[],
): void {
  const content = block.content ?? '';
  const parts: readonly WireResultBlock[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  const texts: string[] = [];
  for (const [i, part] of parts.entries()) {
    const at = `${param}.content[${i}]`;
    if (part.type === 'text') texts.push(part.text);
    else if (part.type === 'tool_reference') texts.push(part.tool_name);
    else if (part.type === 'search_result') texts.push(searchText(part));
    else if (part.type === 'image') pictures.push(imagePart(part, at, address));
    else pictures.push(...documentParts(part, at, address));
  }
  const text = texts.join('\n');
  const said = block.is_error === true && !/^error\b/i.test(text) ? `Error: ${text}` : text;
  conversation.result(block.tool_use_id, said, `${param}.tool_use_id`);
}

function userParts(block: WireBlock, param: string, { address }: Building): readonly ContentPart[] {
  switch (block.type) {
    case 'text':
      return block.text === '' ? [] : [textPart(block.text)];
    case 'image':
      return [imagePart(block, param, address)];
    case 'document':
      return documentParts(block, param, address);
    case 'search_result':
      return [textPart(searchText(block))];
    case 'mid_conv_system': {
      const { text, content } = block;
      const texts = typeof content === 'string' ? [content] : (content ?? []).map((part) => part.text);
      const said = [...(isGiven(text) ? [text] : []), ...texts].join('\n');
      return [textPart(`<system-reminder>\n${said}\n</system-reminder>`)];
    }
    case 'tool_use':
      throw new RequestError(`${param}: only the assistant uses tools.`, { param });
    default:
      return [];
  }
}

function searchText(block: Extract<WireResultBlock, { type: 'search_result' }>): string {
  const head = [block.title, block.source].filter(isGiven).join('\n');
  return [head, ...block.content.map(({ text }) => text)].filter((text) => text !== '').join('\n');
}

function imagePart(
  { source }: Extract<WireBlock, { type: 'image' }>,
  param: string,
  { fetchImages }: Address,
): ContentPart {
  if (source.type === 'base64') {
    const url = `data:${source.media_type};base64,${source.data}`;
    return { type: 'image', url: readImageUrl(url, `${param}.source`, false) };
  }
  if (source.type === 'url') {
    return { type: 'image', url: readImageUrl(source.url, `${param}.source.url`, fetchImages) };
  }
  throw noFiles(`${param}.source`);
}

function documentParts(
  { source, title }: Extract<WireBlock, { type: 'document' }>,
  param: string,
  address: Address,
): readonly ContentPart[] {
  switch (source.type) {
    case 'text':
      return [textPart(isGiven(title) ? `${title}\n${source.data}` : source.data)];
    case 'content': {
      const { content } = source;
      const parts: readonly Extract<WireBlock, { type: 'text' | 'image' }>[] =
        typeof content === 'string' ? [{ type: 'text', text: content }] : content;
      const read = parts.map((part, i) =>
        part.type === 'text' ? textPart(part.text) : imagePart(part, `${param}.source.content[${i}]`, address),
      );
      return isGiven(title) ? [textPart(title), ...read] : read;
    }
    case 'base64':
      return [
        {
          type: 'file',
          data: `data:${source.media_type};base64,${source.data}`,
          ...(isGiven(title) && { filename: title }),
        },
      ];
    default:
      throw noFiles(`${param}.source`);
  }
}

function noFiles(param: string): RequestError {
  return new RequestError(`${param}: no files are stored or fetched here; send the content itself as base64.`, {
    param,
  });
}

function warnOfUnused(body: MessagesBody | CountBody, warnings: Warnings): void {
  if (isGiven(body.container)) warnings.set('container', 'no code is run');
  if (isGiven(body.mcp_servers) && body.mcp_servers.length > 0) warnings.set('mcp_servers', 'no server is asked');
}

function isParallelDisabled({ tool_choice: choice }: MessagesBody | CountBody): boolean {
  return isGiven(choice) && choice.type !== 'none' && choice.disable_parallel_tool_use === true;
}

function effortOf(
  { thinking, output_config: output, messages }: MessagesBody | CountBody,
  warnings: Warnings,
): Effort | undefined {
  if (thinking?.type === 'disabled') return 'none';
  if (thinking?.type !== 'enabled') return laterEffort(messages) ?? output?.effort ?? undefined;
  if (isGiven(thinking.budget_tokens)) return effortOfBudget(thinking.budget_tokens);
  warnings.set('thinking.budget_tokens', 'is missing; medium effort is taken');
  return 'medium';
}

/** What the conversation itself asks for: of the user's words just before it, else of those after it. */
function laterEffort(messages: readonly WireMessage[]): Effort | undefined {
  let now: Effort | undefined;
  let next: Effort | undefined;
  let isAfterWords = false;
  for (const message of messages) {
    if (message.role === 'system') {
      next = message.output_config?.effort ?? next;
    } else {
      isAfterWords = message.role === 'user' && hasWords(message);
    }
    if (isAfterWords) now = next ?? now;
  }
  return now;
}

/** Results of tools alone are none. */
function hasWords({ content }: WireMessage): boolean {
  return typeof content === 'string' || (content ?? []).some(({ type }) => type !== 'tool_result');
}

function toSampling(body: MessagesBody | CountBody, effort: Effort | undefined, warnings: Warnings): Sampling {
  const stops = (body.stop_sequences ?? []).filter((text) => text !== '');
  if (stops.length > maxStops) warnings.set('stop_sequences', `the first ${maxStops} are used`);
  return {
    ...(isGiven(body.temperature) && { temperature: body.temperature }),
    ...(isGiven(body.top_p) && { topP: body.top_p }),
    ...(isGiven(body.top_k) && body.top_k > 0 && { topK: body.top_k }),
    ...(isGiven(body.max_tokens) && { maxTokens: body.max_tokens }),
    stop: stops.slice(0, maxStops),
    logprobs: false,
    ...(effort !== undefined && { reasoningEffort: effort }),
  };
}
