import { RequestError } from '../../core/errors.ts';
import { isJsonObject } from '../../core/json.ts';
import type { ChatRequest, ContentPart, ResponseFormat, ToolCall } from '../../core/request.ts';
import { Conversation, textPart } from '../conversation.ts';
import { isGiven } from '../given.ts';
import { readImageUrl } from '../images.ts';
import { requestErrorOf } from '../issues.ts';
import { mendedArguments } from '../mended-calls.ts';
import { type Address, addressOf, type AskedModel, type ReaderDeps, type Received, warnOfLoops } from '../reading.ts';
import { assertTameSchema, patternCharsPerRequest } from '../schema-patterns.ts';
import { Skipped } from '../skipped.ts';
import type { FlatTools } from '../tools.ts';
import type { AnswerFormat } from '../wire.ts';
import { ResponseFormatter } from './response-format.ts';
import { type ResponsesBody, responsesBodySchema, type WireItem, type WireParts } from './schema.ts';
import { readTools } from './read-tools.ts';

/** A request of this wire; without a word to answer nothing runs. */
export interface ReadResponse {
  readonly request: ChatRequest;
  readonly warnings: Map<string, string>;
  readonly format: AnswerFormat;
  /** A probe: no input, or instructions alone. It is answered with an empty response and leaves no record. */
  readonly isEmpty: boolean;
  readonly address: AskedModel;
  /** What a probe is answered. */
  emptyBody(createdS: number): object;
  emptyStream(createdS: number): string;
}

/** The reader of `POST /v1/responses`. @throws RequestError, LfoError 403 or 404 */
export function responsesReader(deps: ReaderDeps): (received: Received) => ReadResponse {
  const schema = responsesBodySchema(deps.limits);
  return (received) => {
    const parsed = schema.safeParse(received.body.value);
    if (!parsed.success) throw requestErrorOf(parsed.error);
    return toRequest(parsed.data, received, deps);
  };
}

function toRequest(body: ResponsesBody, received: Received, deps: ReaderDeps): ReadResponse {
  refuseState(body);
  const warnings = new Map<string, string>();
  const address = addressOf(
    received,
    {
      model: body.model,
      metadata: body.metadata,
      conversation: body.prompt_cache_key ?? body.user ?? body.safety_identifier,
      isPatient: body.service_tier === 'flex',
      isStream: body.stream === true,
    },
    deps,
  );
  const items: readonly WireItem[] =
    typeof body.input === 'string' ? [{ type: 'message', role: 'user', content: body.input }] : body.input;
  const { tools, toolChoice } = readTools(body, items, warnings);
  const conversation = new Conversation(warnings);
  conversation.instruction('system', isGiven(body.instructions) ? [deps.canonicalHead(body.instructions)] : []);
  const skipped = new Skipped(warnings, 'input', (types) => `items of the type ${types} are skipped`);
  const { canonicalHead } = deps;
  const building = { conversation, address, tools, warnings, skipped, hasBegun: false, canonicalHead };
  for (const [i, item] of items.entries()) addItem(item, `input[${i}]`, building);
  const isEmpty = !items.some((item) => isSaid(item));
  const messages = isEmpty ? [] : conversation.end('input');
  warnOfLoops(messages, warnings);
  const responseFormat = toResponseFormat(body);
  const request: ChatRequest = {
    id: received.id,
    model: address.model,
    messages,
    tools: tools.specs,
    ...(toolChoice !== undefined && { toolChoice }),
    ...(isGiven(body.parallel_tool_calls) && { parallelToolCalls: body.parallel_tool_calls }),
    ...(responseFormat !== undefined && { responseFormat }),
    sampling: {
      ...(isGiven(body.temperature) && { temperature: body.temperature }),
      ...(isGiven(body.top_p) && { topP: body.top_p }),
      ...(isGiven(body.max_output_tokens) && { maxTokens: body.max_output_tokens }),
      stop: [],
      logprobs: isGiven(body.top_logprobs) && body.top_logprobs > 0,
      ...(isGiven(body.top_logprobs) && { topLogprobs: body.top_logprobs }),
      ...(isGiven(body.text?.verbosity) && { verbosity: body.text.verbosity }),
      ...(isGiven(body.reasoning?.effort) && { reasoningEffort: body.reasoning.effort }),
    },
    stream: body.stream === true,
    includeUsage: body.stream_options?.['include_usage'] === true,
    hints: address.hints,
    bodyBytes: received.body.bytes,
  };
  const format = new ResponseFormatter(request, address.askedModel, body, tools);
  return {
    request,
    warnings,
    format,
    address,
    isEmpty,
    emptyBody: (createdS) => format.emptyBody(createdS),
    emptyStream: (createdS) => format.emptyStream(createdS),
  };
}

/** LFO keeps nothing between requests. */
function refuseState(body: ResponsesBody): void {
  for (const param of ['previous_response_id', 'conversation', 'prompt'] as const) {
    if (!isGiven(body[param])) continue;
    throw new RequestError(`${param}: nothing is stored here; send the whole conversation as input.`, { param });
  }
  if (body.background === true) {
    throw new RequestError('background: nothing runs in the background here; use "stream": true.', {
      param: 'background',
    });
  }
  if (isGiven(body.stream_options) && body.stream !== true) {
    throw new RequestError('stream_options: only allowed with "stream": true.', { param: 'stream_options' });
  }
}

interface Building {
  readonly conversation: Conversation;
  readonly address: Address;
  readonly tools: FlatTools;
  readonly warnings: Map<string, string>;
  /** Items of types that nobody here knows. */
  readonly skipped: Skipped;
  readonly canonicalHead: ReaderDeps['canonicalHead'];
  /** Instructions before the first turn are the system's; later ones keep their place. */
  hasBegun: boolean;
}

function addItem(item: WireItem, param: string, building: Building): void {
  const { conversation, tools, warnings } = building;
  switch (item.type) {
    case 'message':
      return addMessage(item, param, building);
    case 'function_call':
    case 'custom_tool_call': {
      building.hasBegun = true;
      const call: ToolCall = {
        id: item.call_id,
        name: tools.flatName(item.name, item.namespace ?? undefined),
        arguments:
          item.type === 'function_call'
            ? mendedArguments(item.arguments, warnings)
            : JSON.stringify({ input: item.input }),
      };
      return conversation.assistant([], [call]);
    }
    case 'function_call_output':
    case 'custom_tool_call_output': {
      building.hasBegun = true;
      const { texts, others } = split(item.output, `${param}.output`, building.address);
      conversation.result(item.call_id, texts.join('\n'), `${param}.call_id`);
      // They follow the result as the user's, since results are texts; those that come later stay with their calls.
      return conversation.user(others);
    }
    case 'item_reference':
      throw new RequestError(`${param}: nothing is stored here; send the whole conversation as input.`, { param });
    case 'unknown':
      return building.skipped.add(item.was);
    case 'reasoning': {
      const said = [item.content, item.summary].find((texts) => isGiven(texts) && texts.length > 0) ?? [];
      return conversation.thought(said.map(({ text }) => text).join('\n'));
    }
    case 'additional_tools':
      return;
  }
}

function addMessage(item: Extract<WireItem, { type: 'message' }>, param: string, building: Building): void {
  const { conversation, address } = building;
  const { role } = item;
  const { texts, others } = split(item.content, `${param}.content`, address);
  if (role === 'user') {
    building.hasBegun = true;
    conversation.user(userParts(item.content, `${param}.content`, address));
  } else if (role === 'assistant') {
    building.hasBegun = true;
    conversation.assistant(texts, []);
  } else if (building.hasBegun) {
    conversation.reminder(texts.join('\n'));
  } else {
    conversation.instruction(
      role,
      texts.map((text) => building.canonicalHead(text)),
    );
    conversation.user(others);
  }
}

function userParts(content: WireParts, param: string, address: Address): readonly ContentPart[] {
  if (typeof content === 'string') return content === '' ? [] : [textPart(content)];
  return content.flatMap((part, i) => toPart(part, `${param}[${i}]`, address));
}

function split(content: WireParts, param: string, address: Address): { texts: string[]; others: ContentPart[] } {
  const texts: string[] = [];
  const others: ContentPart[] = [];
  for (const part of userParts(content, param, address)) {
    if (part.type === 'text') texts.push(part.text);
    else others.push(part);
  }
  return { texts, others };
}

function toPart(part: Exclude<WireParts, string>[number], param: string, address: Address): readonly ContentPart[] {
  switch (part.type) {
    case 'refusal':
      return [textPart(part.refusal)];
    case 'input_image': {
      if (!isGiven(part.image_url)) throw noFiles(`${param}.image_url`, 'image_url');
      const url = readImageUrl(part.image_url, `${param}.image_url`, address.fetchImages);
      const { detail } = part;
      return [{ type: 'image', url, ...(isGiven(detail) && detail !== 'original' && { detail }) }];
    }
    case 'input_file': {
      if (!isGiven(part.file_data)) throw noFiles(`${param}.file_data`, 'file_data');
      return [{ type: 'file', data: part.file_data, ...(isGiven(part.filename) && { filename: part.filename }) }];
    }
    default:
      return part.text === '' ? [] : [textPart(part.text)];
  }
}

function noFiles(param: string, field: string): RequestError {
  return new RequestError(`${param}: no files are stored or fetched here; send the content itself as ${field}.`, {
    param,
  });
}

/** Whether an item asks for an answer; instructions alone do not. */
function isSaid(item: WireItem): boolean {
  if (item.type === 'message') {
    if (item.role === 'system' || item.role === 'developer') return false;
    return typeof item.content === 'string' ? item.content !== '' : item.content.length > 0;
  }
  return ['function_call', 'function_call_output', 'custom_tool_call', 'custom_tool_call_output'].includes(item.type);
}

function toResponseFormat({ text }: ResponsesBody): ResponseFormat | undefined {
  const format = text?.format;
  if (!isGiven(format)) return undefined;
  if (format.type !== 'json_schema') return { type: format.type };
  const { name, description, schema, strict } = format;
  assertTameSchema(schema, 'text.format.schema', { left: patternCharsPerRequest });
  return {
    type: 'json_schema',
    name,
    ...(isGiven(description) && { description }),
    ...(isJsonObject(schema) && { schema }),
    ...(isGiven(strict) && { strict }),
  };
}
