import { RequestError } from '../../../core/errors.ts';
import type { AssistantMessage, ContentPart, Message, ToolCall, ToolMessage } from '../../../core/request.ts';
import { textOf } from '../../../core/request.ts';
import { inlinePart } from './media.ts';
import type { SignatureSource } from './signatures.ts';
import type { ToolNames } from './tool-names.ts';
import { callArguments, missingResponse, toolResponse } from './tool-results.ts';
import type { Content, Part } from './wire.ts';

/** What a history is translated with. */
export interface MessageContext {
  readonly names: ToolNames;
  readonly signatures: SignatureSource;
  /** Vertex AI knows no ids on calls and results. */
  readonly sendsIds: boolean;
  /** Otherwise a history that ends with the model's words gets a minimal user's turn after them. */
  readonly modelMayComeLast: boolean;
}

export interface Conversation {
  readonly contents: readonly Content[];
  /** All instructions in order; empty when there were none. */
  readonly instructions: readonly Part[];
}

interface UserTurn {
  readonly role: 'user';
  readonly parts: Part[];
}

interface ModelTurn {
  readonly role: 'model';
  readonly parts: Part[];
  readonly calls: CallSlot[];
}

/** A call and the results that answer it, wherever in the history they stand. */
interface CallSlot {
  readonly call: ToolCall;
  readonly results: string[];
}

/**
 * The history as Gemini wants it: instructions apart, roles alternating and a user's turn first, the results of a
 * turn's calls in one content right after it, as many and in the order of the calls. O(messages).
 * @throws RequestError for a result without its call and for content that cannot be sent
 */
export function translateMessages(messages: readonly Message[], context: MessageContext): Conversation {
  const { turns, instructions } = gatherTurns(messages);
  const currentFrom = turns.findLastIndex((turn) => turn.role === 'user');
  const contents: Content[] = turns[0]?.role === 'user' ? [] : [opening];
  for (const [index, turn] of turns.entries()) {
    if (turn.role === 'user') contents.push(turn);
    else contents.push(...modelContents(turn, index > currentFrom, context));
  }
  if (!context.modelMayComeLast && contents.at(-1)?.role === 'model') contents.push(goOn);
  return { contents, instructions };
}

/** Gemini wants a user's turn first, also where the client sent instructions alone. */
const opening: Content = { role: 'user', parts: [{ text: 'Begin.' }] };

const goOn: Content = { role: 'user', parts: [{ text: 'Continue.' }] };

function gatherTurns(messages: readonly Message[]): { turns: (UserTurn | ModelTurn)[]; instructions: Part[] } {
  const turns: (UserTurn | ModelTurn)[] = [];
  const instructions: Part[] = [];
  /** The latest calls of each id: small models number theirs anew in every turn. */
  const slots = new Map<string, CallSlot[]>();
  for (const [index, message] of messages.entries()) {
    if (message.role === 'tool') answerCall(message, slots, index);
    else if (message.role === 'user') addUserParts(turns, message.content.flatMap(partsOf(index)));
    else if (message.role === 'assistant') addModelTurn(turns, message, slots);
    else instructions.push(...message.content.flatMap(partsOf(index)));
  }
  return { turns, instructions };
}

function partsOf(message: number): (part: ContentPart, index: number) => Part[] {
  return (part, index) => {
    if (part.type !== 'text') return [inlinePart(part, `messages[${message}].content[${index}]`)];
    return part.text === '' ? [] : [{ text: part.text }];
  };
}

function addUserParts(turns: (UserTurn | ModelTurn)[], parts: readonly Part[]): void {
  if (parts.length === 0) return;
  const last = turns.at(-1);
  if (last?.role === 'user') for (const part of parts) last.parts.push(part);
  else turns.push({ role: 'user', parts: [...parts] });
}

function addModelTurn(
  turns: (UserTurn | ModelTurn)[],
  message: AssistantMessage,
  slots: Map<string, CallSlot[]>,
): void {
  const text = textOf(message);
  if (text === '' && message.toolCalls.length === 0) return;
  const last = turns.at(-1);
  const isOpen = last?.role === 'model' && last.calls.length === 0;
  const turn: ModelTurn = isOpen ? last : { role: 'model', parts: [], calls: [] };
  if (!isOpen) turns.push(turn);
  if (text !== '') turn.parts.push({ text });
  for (const call of message.toolCalls) {
    const slot: CallSlot = { call, results: [] };
    const known = slots.get(call.id);
    // Within one turn an id may occur twice: the results then answer the calls in order.
    if (known !== undefined && known.every((other) => turn.calls.includes(other))) known.push(slot);
    else slots.set(call.id, [slot]);
    turn.calls.push(slot);
  }
}

function answerCall(message: ToolMessage, slots: ReadonlyMap<string, readonly CallSlot[]>, index: number): void {
  const known = slots.get(message.toolCallId);
  const slot = known?.find(({ results }) => results.length === 0) ?? known?.at(-1);
  if (slot !== undefined) slot.results.push(textOf(message));
  else {
    const id = message.toolCallId.slice(0, 64);
    throw new RequestError(`No earlier assistant message holds a tool call with the id "${id}".`, {
      param: `messages[${index}].tool_call_id`,
    });
  }
}

function modelContents(turn: ModelTurn, isCurrent: boolean, context: MessageContext): Content[] {
  if (turn.calls.length === 0) return [{ role: 'model', parts: turn.parts }];
  const ids = distinctIds(turn.calls, context);
  const calls = turn.calls.map(({ call }, index) => callPart(call, ids[index], isCurrent && index === 0, context));
  const results = turn.calls.map((slot, index) => resultPart(slot, ids[index], context));
  return [
    { role: 'model', parts: [...turn.parts, ...calls] },
    { role: 'user', parts: results },
  ];
}

function callPart(call: ToolCall, id: string | undefined, isRequired: boolean, context: MessageContext): Part {
  const signature = context.signatures.find(call, isRequired);
  const name = context.names.native(call.name);
  return {
    functionCall: { ...(id === undefined ? {} : { id }), name, args: callArguments(call.arguments) },
    ...(signature === undefined ? {} : { thoughtSignature: signature }),
  };
}

function resultPart({ call, results }: CallSlot, id: string | undefined, context: MessageContext): Part {
  const response = results.length === 0 ? missingResponse : toolResponse(results.join('\n'));
  return { functionResponse: { ...(id === undefined ? {} : { id }), name: context.names.native(call.name), response } };
}

/** Gemini pairs by id: two calls of one turn must not share one. */
function distinctIds(calls: readonly CallSlot[], { sendsIds }: MessageContext): (string | undefined)[] {
  const used = new Set<string>();
  return calls.map(({ call }) => {
    if (!sendsIds || call.id === '') return undefined;
    let id = call.id;
    for (let round = 2; used.has(id); round++) id = `${call.id}x${round}`;
    used.add(id);
    return id;
  });
}
