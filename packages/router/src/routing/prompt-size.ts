import { usesTools } from '../core/can-serve.ts';
import { isJsonObject, type JsonValue } from '../core/json.ts';
import { type ChatRequest, textOf, type ToolSpec } from '../core/request.ts';
import { estimateTokens } from './estimate-tokens.ts';

/**
 * Most tokens the rendered prompt can have: a byte-level vocabulary spends at most one token a byte, so UTF-8 bytes of
 * the texts, of the tools as JSON (twice for each structural sign: templates indent and space them) and the template's
 * own words bound the count. Undefined where content other than text makes bytes meaningless.
 */
export function boundPromptTokens(request: ChatRequest): number | undefined {
  if (mediaParts(request) > 0) return undefined;
  let bytes = templateTokens(request);
  for (const text of textsOf(request)) bytes += Buffer.byteLength(text);
  const tools = toolsJson(request);
  return tools === '' ? bytes : bytes + Buffer.byteLength(tools) + 2 * signsOf(request.tools);
}

/** What the prompt probably has, by the estimator; images, audio and files count a flat sum each. */
export function estimatePromptTokens(request: ChatRequest): number {
  let tokens = (templateTokens(request) * 2) / 5 + mediaParts(request) * tokensPerMediaPart;
  for (const text of textsOf(request)) tokens += estimateTokens(text);
  return Math.ceil(tokens + estimateTokens(toolsJson(request)));
}

function* textsOf(request: ChatRequest): Generator<string> {
  for (const message of request.messages) {
    yield textOf(message);
    if (message.role !== 'assistant') continue;
    if (message.reasoning !== undefined) yield message.reasoning;
    for (const call of message.toolCalls) {
      yield call.name;
      yield call.arguments;
    }
  }
  const suffix = request.continuation?.suffix;
  if (suffix !== undefined) yield suffix;
}

function toolsJson({ tools, toolChoice }: ChatRequest): string {
  return tools.length === 0 || toolChoice?.type === 'none' ? '' : JSON.stringify(tools);
}

function templateTokens(request: ChatRequest): number {
  const calls = request.messages.reduce((sum, m) => sum + (m.role === 'assistant' ? m.toolCalls.length : 0), 0);
  const preamble = usesTools(request) ? toolPreambleTokens : 0;
  return preambleTokens + preamble + tokensPerTurn * (request.messages.length + calls);
}

function mediaParts(request: ChatRequest): number {
  return request.messages.reduce((sum, m) => sum + m.content.filter((part) => part.type !== 'text').length, 0);
}

/** Structural signs of the tools as JSON, at most. */
function signsOf(tools: readonly ToolSpec[]): number {
  let signs = 2;
  for (const { parameters } of tools) signs += signsATool + structuralSigns(parameters ?? null);
  return signs;
}

/** Of its own members, and the comma after it. */
const signsATool = 10;

/** Braces, brackets, commas and colons of a value as JSON; those inside strings are none. */
function structuralSigns(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0;
  let signs = 1;
  if (isJsonObject(value)) {
    for (const key in value) {
      const member = value[key];
      signs += 2 + (typeof member === 'object' ? structuralSigns(member) : 0);
    }
  } else {
    for (const item of value) signs += 1 + (typeof item === 'object' ? structuralSigns(item) : 0);
  }
  // The last member has no comma after it; an empty one has its other bracket all the same.
  return signs === 1 ? 2 : signs;
}

/** Default system prompts run to 60 tokens, instructions for tools to 250; role, marks and line ends of a turn to 12. */
const preambleTokens = 64;
const toolPreambleTokens = 256;
const tokensPerTurn = 12;
/** A tiled image of a common vision model; only estimates use it. */
const tokensPerMediaPart = 768;
