import { RequestError } from '../../core/errors.ts';
import type { AssistantMessage, ContentPart, Message, TextPart, ToolCall, ToolMessage } from '../../core/request.ts';
import { isGiven } from '../given.ts';
import { readImageUrl } from '../images.ts';
import { mendedArguments, withResults } from '../mended-calls.ts';
import type { WireAssistantMessage, WireMessage, WireUserPart } from './message-schema.ts';

/** What is known beside the messages themselves. */
export interface MessageContext {
  /** `http(s)` image URLs are passed on. */
  readonly fetchImages: boolean;
  readonly canonicalHead: (text: string) => string;
  /** Receives what cannot be honoured. */
  readonly warnings: Map<string, string>;
}

/** What the conversation has called so far: each tool result answers one of these, and each is answered once. */
interface Calls {
  /** Whether each call has its result; an id that is used again is a new call. */
  readonly answered: Map<string, boolean>;
  /** Latest call of each function by the deprecated wire, which has no ids. */
  readonly byFunction: Map<string, string>;
  readonly warnings: Map<string, string>;
}

/**
 * The conversation as messages of our own, order kept.
 * @throws RequestError for what types cannot say: results without a call, turns without content
 */
export function toMessages(wire: readonly WireMessage[], context: MessageContext): readonly Message[] {
  const { warnings } = context;
  const calls: Calls = { answered: new Map(), byFunction: new Map(), warnings };
  const messages = wire.map((message, index) => toMessage(message, `messages[${index}]`, calls, context));
  return withResults(messages, warnings);
}

function toMessage(
  wire: WireMessage,
  param: string,
  calls: Calls,
  { fetchImages, canonicalHead }: MessageContext,
): Message {
  switch (wire.role) {
    case 'system':
    case 'developer':
      return {
        role: wire.role,
        content: textParts(wire.content).map((part) => ({ ...part, text: canonicalHead(part.text) })),
      };
    case 'user':
      return { role: 'user', content: userContent(wire.content, `${param}.content`, fetchImages) };
    case 'assistant':
      return toAssistant(wire, param, calls);
    case 'tool':
      return toToolResult(
        wire.tool_call_id,
        calls,
        { id: wire.tool_call_id, param: `${param}.tool_call_id` },
        wire.content,
      );
    // The deprecated `function` role.
    default: {
      const id = calls.byFunction.get(wire.name);
      return toToolResult(id, calls, { id: wire.name, param: `${param}.name` }, wire.content ?? '');
    }
  }
}

function toAssistant(wire: WireAssistantMessage, param: string, calls: Calls): AssistantMessage {
  const toolCalls: ToolCall[] = [];
  for (const call of wire.tool_calls ?? []) {
    if (call.type === 'custom') {
      toolCalls.push({ id: call.id, name: call.custom.name, arguments: JSON.stringify({ input: call.custom.input }) });
      continue;
    }
    const thoughtSignature =
      call.extra_content?.google?.thought_signature ?? call.provider_specific_fields?.thought_signature;
    toolCalls.push({
      id: call.id,
      name: call.function.name,
      arguments: mendedArguments(call.function.arguments, calls.warnings),
      ...(typeof thoughtSignature === 'string' && { thoughtSignature }),
    });
  }
  for (const call of toolCalls) calls.answered.set(call.id, false);
  if (isGiven(wire.function_call)) {
    const id = `call_${calls.byFunction.size}_${calls.answered.size}`;
    calls.byFunction.set(wire.function_call.name, id);
    calls.answered.set(id, false);
    toolCalls.push({ id, ...wire.function_call });
  }
  const content = assistantContent(wire, param);
  if (!isGiven(wire.content) && !isGiven(wire.refusal) && !isGiven(wire.audio) && toolCalls.length === 0) {
    throw new RequestError(`${param}.content: is required unless the turn calls a tool.`, {
      code: 'missing_required_parameter',
      param: `${param}.content`,
    });
  }
  const reasoning = wire.reasoning_content ?? '';
  return { role: 'assistant', content, toolCalls, ...(reasoning !== '' && { reasoning }) };
}

/** The turn's texts, or its one refusal. */
function assistantContent(wire: WireAssistantMessage, param: string): readonly TextPart[] {
  const { content } = wire;
  if (!isGiven(content)) return wire.refusal ? textParts(wire.refusal) : [];
  if (typeof content === 'string') return textParts(content);
  if (content.length > 1 && content.some((part) => part.type === 'refusal')) {
    throw new RequestError(`${param}.content: holds a refusal beside other parts; send it alone.`, {
      param: `${param}.content`,
    });
  }
  return content.map((part) => ({ type: 'text', text: part.type === 'text' ? part.text : part.refusal }));
}

/** Ids are at most 40 characters on this wire; whatever else comes is shown in part. */
const maxShownId = 64;

function toToolResult(
  toolCallId: string | undefined,
  { answered }: Calls,
  named: { readonly id: string; readonly param: string },
  content: Parameters<typeof textParts>[0],
): ToolMessage {
  const { param } = named;
  const shown = JSON.stringify(named.id.slice(0, maxShownId));
  if (toolCallId === undefined || !answered.has(toolCallId)) {
    throw new RequestError(`${param}: ${shown} answers no call of an earlier assistant message.`, { param });
  }
  if (answered.get(toolCallId) === true) {
    throw new RequestError(`${param}: ${shown} was answered by an earlier message; send one result a call.`, { param });
  }
  answered.set(toolCallId, true);
  return { role: 'tool', toolCallId, content: textParts(content) };
}

function textParts(content: string | readonly { readonly text: string }[]): readonly TextPart[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return content.map(({ text }) => ({ type: 'text', text }));
}

function userContent(
  content: string | readonly WireUserPart[],
  param: string,
  fetchImages: boolean,
): readonly ContentPart[] {
  if (typeof content === 'string') return textParts(content);
  return content.map((part, index) => userPart(part, `${param}[${index}]`, fetchImages));
}

function userPart(part: WireUserPart, param: string, fetchImages: boolean): ContentPart {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: part.text };
    case 'image_url': {
      const { detail } = part.image_url;
      const url = readImageUrl(part.image_url.url, `${param}.image_url.url`, fetchImages);
      return { type: 'image', url, ...(isGiven(detail) && { detail }) };
    }
    case 'input_audio':
      return { type: 'audio', data: part.input_audio.data, format: part.input_audio.format };
    // A file.
    default: {
      const { file_data: data, filename } = part.file;
      if (!isGiven(data)) {
        const at = `${param}.file.${!isGiven(part.file.file_id) ? 'file_data' : 'file_id'}`;
        throw new RequestError(`${at}: no files are stored here; send the file as file_data.`, { param: at });
      }
      return { type: 'file', data, ...(isGiven(filename) && { filename }) };
    }
  }
}
