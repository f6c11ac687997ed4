import { isDeepStrictEqual } from 'node:util';
import { mayCall } from '../core/can-serve.ts';
import type { InferenceEvent } from '../core/events.ts';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../core/json.ts';
import type { WrongBecause } from '../core/judgement.ts';
import type { ChatRequest, ToolSpec } from '../core/request.ts';

/** Whether two answers to one request say the same, and where calls differ what the first one lacks. */
export interface Agreement {
  readonly agrees: boolean;
  readonly because?: WrongBecause;
}

/**
 * Compares the answer of a local model with another one, usually the cloud's. Calls: the same calls, in any order, with
 * equal arguments; optional ones that have their default or are empty do not count. Call against text: no. Text where
 * tools were declared: both called none. Other text is compared only where it has a form: JSON, a number, a choice, or at
 * most twelve words; else there is no verdict, since wording says nothing.
 */
export function agreementOf(
  request: ChatRequest,
  local: readonly InferenceEvent[],
  other: readonly InferenceEvent[],
): Agreement | undefined {
  const [mine, theirs] = [said(local), said(other)];
  if (mine === undefined || theirs?.isWhole !== true) return undefined;
  if (!mine.isWhole) return mine.calls.length === 0 ? undefined : compareBegun(mine.calls, theirs.calls, request.tools);
  if (mine.calls.length > 0 || theirs.calls.length > 0) return compareCalls(mine.calls, theirs.calls, request.tools);
  const isFormat = request.responseFormat !== undefined && request.responseFormat.type !== 'text';
  if (isFormat) return compareJson(mine.text, theirs.text);
  // After results of tools both write a text as a matter of course.
  if (mayCall(request) && request.messages.at(-1)?.role !== 'tool') return { agrees: true };
  return compareText(mine.text, theirs.text);
}

interface Said {
  readonly text: string;
  readonly calls: readonly ReadCall[];
  /** False where it was condemned before its end; its calls are whole all the same. */
  readonly isWhole: boolean;
}

interface ReadCall {
  readonly name: string;
  /** Undefined where the JSON cannot be read. */
  readonly arguments: JsonObject | undefined;
}

/** Undefined for an answer that was cut or refused. */
function said(events: readonly InferenceEvent[]): Said | undefined {
  const calls = new Map<number, { name: string; json: string }>();
  let text = '';
  const open = new Set<number>();
  let isWhole = false;
  for (const event of events) {
    if (event.type === 'text-delta') text += event.text;
    else if (event.type === 'refusal-delta') return undefined;
    else if (event.type === 'tool-call-start') {
      calls.set(event.index, { name: event.name, json: '' });
      open.add(event.index);
    } else if (event.type === 'tool-call-end') open.delete(event.index);
    else if (event.type === 'tool-call-delta') {
      const call = calls.get(event.index);
      if (call !== undefined) call.json += event.json;
    } else if (event.type === 'finish') {
      isWhole = event.reason === 'stop' || event.reason === 'tool_calls';
      if (!isWhole) return undefined;
    }
  }
  if (open.size > 0) return undefined;
  return {
    text,
    isWhole,
    calls: [...calls.values()].map(({ name, json }) => {
      const value = json.trim() === '' ? {} : parseJson(json);
      return { name, arguments: isJsonObject(value) ? value : undefined };
    }),
  };
}

/** An answer that was condemned at the end of a call: more calls might have come. */
function compareBegun(
  mine: readonly ReadCall[],
  theirs: readonly ReadCall[],
  tools: readonly ToolSpec[],
): Agreement | undefined {
  const found = compareCalls(mine, theirs, tools);
  return found.because === 'more_calls' ? undefined : found;
}

function compareCalls(mine: readonly ReadCall[], theirs: readonly ReadCall[], tools: readonly ToolSpec[]): Agreement {
  if (theirs.length === 0) return { agrees: false, because: 'no_tool_fits' };
  if (mine.length < theirs.length) return { agrees: false, ...(mine.length > 0 && { because: 'more_calls' }) };
  const left = [...theirs];
  for (const call of mine) {
    const found = left.findIndex((other) => areEqual(call, other, tools));
    if (found < 0) return { agrees: false, because: 'values' };
    left.splice(found, 1);
  }
  return { agrees: left.length === 0 };
}

function areEqual(one: ReadCall, other: ReadCall, tools: readonly ToolSpec[]): boolean {
  if (one.name !== other.name || one.arguments === undefined || other.arguments === undefined) return false;
  const tool = tools.find(({ name }) => name === one.name);
  return isDeepStrictEqual(essential(one.arguments, tool), essential(other.arguments, tool));
}

/** Arguments in a form that compares: without optional ones that say nothing, strings without case and punctuation. */
function essential(given: JsonObject, tool: ToolSpec | undefined): JsonValue {
  const parameters = tool?.parameters;
  const properties = isJsonObject(parameters) && isJsonObject(parameters['properties']) ? parameters['properties'] : {};
  const required = isJsonObject(parameters) && Array.isArray(parameters['required']) ? parameters['required'] : [];
  const kept = Object.entries(given).filter(
    ([name, value]) => required.includes(name) || !saysNothing(value, properties[name]),
  );
  return normal(Object.fromEntries(kept));
}

function saysNothing(value: JsonValue, declared: JsonValue | undefined): boolean {
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return true;
  if (isJsonObject(value) && Object.keys(value).length === 0) return true;
  if (!isJsonObject(declared)) return false;
  if (declared['default'] !== undefined) return isDeepStrictEqual(normal(value), normal(declared['default']));
  const described = typeof declared['description'] === 'string' ? declared['description'] : '';
  const [, stated] = /\bdefaults?(?: value)?(?: is| to|:|=)? ['"`]?([\w.+-]+)/i.exec(described) ?? [];
  return stated !== undefined && isDeepStrictEqual(normal(value), normal(stated.replace(/\.$/, '')));
}

function normal(value: JsonValue): JsonValue {
  if (typeof value === 'string') {
    const bare = value.toLowerCase().replaceAll(/[ ,./\-_*^'"]/g, '');
    return /^[+-]?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : bare;
  }
  if (Array.isArray(value)) return value.map(normal);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).map(([key, member]): [string, JsonValue] => [key, normal(member)]);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function compareJson(one: string, other: string): Agreement | undefined {
  const [mine, theirs] = [parseJson(one), parseJson(other)];
  if (theirs === undefined) return undefined;
  return { agrees: mine !== undefined && isDeepStrictEqual(normal(mine), normal(theirs)) };
}

function compareText(one: string, other: string): Agreement | undefined {
  const [mine, theirs] = [plain(one), plain(other)];
  if (mine === '' || theirs === '') return undefined;
  const number = /^[^\d]{0,3}[-+]?\d[\d.,]*[^\d]{0,3}$/;
  if (number.test(theirs)) return { agrees: digits(mine) === digits(theirs) };
  if (theirs.split(' ').length > mostWords || mine.split(' ').length > mostWords) return undefined;
  return { agrees: mine === theirs };
}

function plain(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}.,+-]+/gu, ' ')
    .replaceAll(/[.,]+(?=\s|$)/g, '')
    .trim();
}

function digits(text: string): string {
  return text.replaceAll(/[^\d.]/g, '');
}

const mostWords = 12;
