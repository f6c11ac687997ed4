import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { ChatRequest, Message, Sampling, SourceText, ToolCall, ToolSpec } from '../../core/request.ts';
import { areArgumentsSound } from '../mended-calls.ts';
import { canonicalHead } from '../prompt-head.ts';
import type { BodyLimits } from './chat-body.ts';

/** A body of the plain form: what the schema would make of it, and the text that may go on as it is. */
export type PlainBody = Pick<
  ChatRequest,
  'messages' | 'tools' | 'toolChoice' | 'parallelToolCalls' | 'responseFormat' | 'sampling' | 'stream' | 'includeUsage'
> & { readonly model: string; readonly source: SourceText };

/**
 * Reads a body that holds nothing but what an OpenAI-compatible server is given unchanged: text, calls and results,
 * declared functions, ordinary sampling. Its text can then be sent on with another model, unread. `undefined` for every
 * other body, sound or not: the schema has the say. Whatever is plain the schema accepts, and what would be written for
 * it is what it says.
 */
export function readPlainBody(value: JsonValue, text: string, limits: BodyLimits): PlainBody | undefined {
  if (!isJsonObject(value)) return undefined;
  const counted = { members: 0 };
  const top = readTop(value, limits, counted);
  if (top === undefined) return undefined;
  const model = modelIn(text);
  if (model === undefined || model.name !== value['model'] || countMembers(text) !== counted.members) return undefined;
  const { tokensField, ...plain } = top;
  if (!isWhole(text, tokensField, top.sampling.maxTokens) || !isWhole(text, 'seed', top.sampling.seed))
    return undefined;
  const hasStreamOptions = value['stream_options'] !== undefined;
  const { name, start, end } = model;
  const source = { text, modelStart: start, modelEnd: end, hasStreamOptions, tokensField };
  return { ...plain, model: name, source };
}

/** Members of objects, to be compared with those of the text: a key that comes twice has but one value here. */
interface Counted {
  members: number;
}

type Top = Omit<PlainBody, 'model' | 'source'> & { readonly tokensField: SourceText['tokensField'] };

function readTop(body: JsonObject, limits: BodyLimits, counted: Counted): Top | undefined {
  const sampling: { -readonly [Key in keyof Sampling]: Sampling[Key] } = { stop: [], logprobs: false };
  let tokensField: SourceText['tokensField'];
  let stream = false;
  let includeUsage = false;
  let messages: readonly Message[] | undefined;
  let tools: readonly ToolSpec[] = [];
  let hasChoice = false;
  let parallelToolCalls: boolean | undefined;
  let responseFormat: { readonly type: 'text' | 'json_object' } | undefined;
  for (const key in body) {
    const value = body[key];
    if (value === undefined) return undefined;
    counted.members++;
    switch (key) {
      case 'model':
        if (typeof value !== 'string') return undefined;
        break;
      case 'messages':
        messages = readMessages(value, limits.messages, counted);
        if (messages === undefined) return undefined;
        break;
      case 'tools': {
        const read = readTools(value, limits.tools, counted);
        if (read === undefined) return undefined;
        tools = read;
        break;
      }
      case 'tool_choice':
        if (value !== 'auto') return undefined;
        hasChoice = true;
        break;
      case 'parallel_tool_calls':
        if (typeof value !== 'boolean') return undefined;
        parallelToolCalls = value;
        break;
      case 'temperature':
        if (!isBetween(value, 0, 2)) return undefined;
        sampling.temperature = value;
        break;
      case 'top_p':
        if (!isBetween(value, 0, 1)) return undefined;
        sampling.topP = value;
        break;
      case 'frequency_penalty':
        if (!isBetween(value, -2, 2)) return undefined;
        sampling.frequencyPenalty = value;
        break;
      case 'presence_penalty':
        if (!isBetween(value, -2, 2)) return undefined;
        sampling.presencePenalty = value;
        break;
      case 'seed':
        if (typeof value !== 'number' || !Number.isSafeInteger(value)) return undefined;
        sampling.seed = value;
        break;
      case 'max_tokens':
      case 'max_completion_tokens':
        if (tokensField !== undefined || !isBetween(value, 1, 0x7fff_ffff) || !Number.isInteger(value))
          return undefined;
        tokensField = key;
        sampling.maxTokens = value;
        break;
      case 'stop':
        if (!isStops(value)) return undefined;
        sampling.stop = value;
        break;
      case 'stream':
        if (value !== true) return undefined;
        stream = true;
        break;
      case 'stream_options':
        if (!isJsonObject(value) || value['include_usage'] !== true || !hasOnly(value, 1, counted)) return undefined;
        includeUsage = true;
        break;
      case 'response_format': {
        if (!isJsonObject(value) || !hasOnly(value, 1, counted)) return undefined;
        const { type } = value;
        if (type !== 'text' && type !== 'json_object') return undefined;
        responseFormat = { type };
        break;
      }
      default:
        return undefined;
    }
  }
  if (messages === undefined || (includeUsage && !stream)) return undefined;
  if (tools.length === 0 && (hasChoice || parallelToolCalls !== undefined)) return undefined;
  return {
    messages,
    tools,
    ...(hasChoice && { toolChoice: { type: 'auto' } as const }),
    ...(parallelToolCalls !== undefined && { parallelToolCalls }),
    ...(responseFormat !== undefined && { responseFormat }),
    sampling,
    stream,
    includeUsage,
    tokensField,
  };
}

function readMessages(value: JsonValue, most: number, counted: Counted): readonly Message[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) return undefined;
  const messages: Message[] = [];
  /** Whether each call has its result. */
  const answered = new Map<string, boolean>();
  for (const wire of value) {
    const message = isJsonObject(wire) ? readMessage(wire, answered, counted) : undefined;
    if (message === undefined) return undefined;
    messages.push(message);
  }
  // An agent that was interrupted leaves a history that is to be mended.
  for (const isAnswered of answered.values()) if (!isAnswered) return undefined;
  return messages;
}

function readMessage(wire: JsonObject, answered: Map<string, boolean>, counted: Counted): Message | undefined {
  const { role, content } = wire;
  if (role === 'assistant' && wire['tool_calls'] !== undefined) return readCalling(wire, answered, counted);
  if (typeof content !== 'string') return undefined;
  const parts = [{ type: 'text', text: content }] as const;
  if (role === 'tool') {
    const id = wire['tool_call_id'];
    // A result without its call, or a second one, is the schema's to refuse.
    if (typeof id !== 'string' || answered.get(id) !== false || !hasOnly(wire, 3, counted)) return undefined;
    answered.set(id, true);
    return { role, toolCallId: id, content: parts };
  }
  if (!hasOnly(wire, 2, counted)) return undefined;
  // What is taken out of system texts the schema's way takes out.
  if (role === 'system' && canonicalHead(content) !== content) return undefined;
  if (role === 'system' || role === 'user') return { role, content: parts };
  return role === 'assistant' ? { role, content: parts, toolCalls: [] } : undefined;
}

function readCalling(wire: JsonObject, answered: Map<string, boolean>, counted: Counted): Message | undefined {
  const { content, tool_calls: calls } = wire;
  if (content !== null && typeof content !== 'string') return undefined;
  if (!Array.isArray(calls) || calls.length === 0 || calls.length > maxCalls || !hasOnly(wire, 3, counted))
    return undefined;
  const toolCalls: ToolCall[] = [];
  for (const call of calls) {
    if (!isJsonObject(call) || call['type'] !== 'function' || !hasOnly(call, 3, counted)) return undefined;
    const { id, function: fn } = call;
    if (typeof id !== 'string' || id === '' || !isJsonObject(fn) || !hasOnly(fn, 2, counted)) return undefined;
    const { name, arguments: json } = fn;
    if (typeof name !== 'string' || name === '' || typeof json !== 'string' || json.trim() === '') return undefined;
    if (!areArgumentsSound(json)) return undefined;
    toolCalls.push({ id, name, arguments: json });
  }
  for (const { id } of toolCalls) answered.set(id, false);
  return { role: 'assistant', content: content === null ? [] : [{ type: 'text', text: content }], toolCalls };
}

/** As many as the schema takes of any list. */
const maxCalls = 2048;

function readTools(value: JsonValue, most: number, counted: Counted): readonly ToolSpec[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) return undefined;
  const tools: ToolSpec[] = [];
  for (const tool of value) {
    if (!isJsonObject(tool) || tool['type'] !== 'function' || !hasOnly(tool, 2, counted)) return undefined;
    const spec = isJsonObject(tool['function']) ? readTool(tool['function'], counted) : undefined;
    if (spec === undefined) return undefined;
    tools.push(spec);
  }
  return tools;
}

function readTool(fn: JsonObject, counted: Counted): ToolSpec | undefined {
  const { name, description, parameters, strict } = fn;
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) return undefined;
  let known = 1;
  if (description !== undefined) {
    if (typeof description !== 'string') return undefined;
    known++;
  }
  if (strict !== undefined) {
    if (typeof strict !== 'boolean') return undefined;
    known++;
  }
  if (parameters !== undefined) {
    if (!isJsonObject(parameters) || !isWithoutPatterns(parameters, counted)) return undefined;
    known++;
  }
  if (!hasOnly(fn, known, counted)) return undefined;
  return {
    name,
    ...(description !== undefined && { description }),
    ...(parameters !== undefined && { parameters }),
    ...(strict !== undefined && { strict }),
  };
}

/** Patterns are looked at before anything is checked by them. Counts what it walks over. */
function isWithoutPatterns(value: JsonValue, counted: Counted): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (!isJsonObject(value)) {
    for (const item of value) if (!isWithoutPatterns(item, counted)) return false;
    return true;
  }
  for (const key in value) {
    counted.members++;
    const member = value[key];
    if (key === 'pattern' || key === 'patternProperties' || member === undefined) return false;
    if (typeof member === 'object' && !isWithoutPatterns(member, counted)) return false;
  }
  return true;
}

/** Whether an object has so many members and no more; counts them. */
function hasOnly(object: JsonObject, most: number, counted: Counted): boolean {
  let members = 0;
  for (const _ in object) members++;
  counted.members += members;
  return members === most;
}

function isBetween(value: JsonValue, least: number, most: number): value is number {
  // The text's own `-0` would reach the server, and ours would not.
  return typeof value === 'number' && value >= least && value <= most && !Object.is(value, -0);
}

/** Whether an integer is written as one: `100.0` is the same number, and servers that read integers refuse it. */
function isWhole(text: string, key: string | undefined, value: number | undefined): boolean {
  if (value === undefined) return true;
  // In a string these quotes would have a backslash before them.
  const found = /[-+.\deE]+/y;
  found.lastIndex = text.indexOf(`"${key}":`) + `"${key}":`.length;
  while (isWhite(text.charCodeAt(found.lastIndex))) found.lastIndex++;
  return found.exec(text)?.[0] === String(value);
}

function isWhite(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function isStops(value: JsonValue): value is readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 5) return false;
  return value.every((stop) => typeof stop === 'string' && stop !== '');
}

/**
 * Members of all objects in a JSON text, those that come twice twice; too many where a text begins with a colon or a key is
 * followed by white space. Never too few: one that is missed would make up for one that comes twice.
 */
function countMembers(text: string): number {
  if (spacedKey.test(text)) return Infinity;
  let members = 0;
  // Inside a string every quote has a backslash before it that is not itself one of two.
  for (let at = text.indexOf('":'); at !== -1; at = text.indexOf('":', at + 2)) {
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) members++;
  }
  return members;
}

const backslash = 0x5c;
/** A quote that a single backslash does not make a part of a string, white space, a colon. */
const spacedKey = /(?<!(?<!\\)\\)"[\t\n\r ]+:/;

const scalar = String.raw`(?:"(?:[^"\\]|\\.)*"|[-+.\deE]+|true|false|null)`;
const member = String.raw`"[^"\\]*":\s*${scalar}`;
const modelMember = String.raw`"model":\s*"([^"\\]*)"`;
/** With nothing nested before it, or nothing nested after it, it is the body's own and not an inner object's. */
const atHead = new RegExp(String.raw`^\s*\{\s*(?:${member}\s*,\s*){0,16}?${modelMember}`);
const atTail = new RegExp(String.raw`[,{]\s*${modelMember}(?:\s*,\s*${member}){0,16}\s*\}\s*$`);

/** How far from the end the model is looked for. */
const tailChars = 600;

/** Where the body names its model; `undefined` where that cannot be told at a glance. */
function modelIn(text: string): { readonly name: string; readonly start: number; readonly end: number } | undefined {
  const head = atHead.exec(text.slice(0, tailChars));
  if (head?.[1] !== undefined) {
    const end = head[0].length;
    return { name: head[1], start: end - head[1].length - 2, end };
  }
  const from = Math.max(0, text.length - tailChars);
  const tail = atTail.exec(text.slice(from));
  if (tail?.[1] === undefined) return undefined;
  const start = text.indexOf('"', text.indexOf('"model":', from + tail.index) + '"model":'.length);
  return { name: tail[1], start, end: start + tail[1].length + 2 };
}
