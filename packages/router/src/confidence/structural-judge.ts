import { isJsonObject, parseJson, type JsonObject } from '../core/json.ts';
import type { Reason } from '../core/reason.ts';
import type { ChatRequest, ToolSpec } from '../core/request.ts';
import { groundingOf } from './grounding.ts';
import { schemaViolation } from './schema-check.ts';

/** A tool call as it was streamed. */
export interface WrittenCall {
  readonly name: string;
  /** JSON text of the arguments; empty means none. */
  readonly json: string;
  /** The engine had to repair it to read it. */
  readonly repaired: boolean;
}

/** What can be said of valid calls without any probability. Shares are 0..1; undefined: nothing to measure. */
export interface StructureSigns {
  readonly grounded: number | undefined;
  readonly uncoveredTerms: number | undefined;
  /** One call was made where the question sounds like several tasks. */
  readonly fewCalls: boolean;
  readonly repaired: boolean;
}

/** Judges tool calls by their declarations alone; one a request, so that the declarations are read once. */
export interface StructuralJudge {
  /** Why this call cannot be right, whatever its probability; undefined when it may be. */
  faultOf(call: WrittenCall): Reason | undefined;
  /** Why these valid calls cannot be right together. */
  faultOfAll(calls: readonly WrittenCall[]): Reason | undefined;
  signsOf(calls: readonly WrittenCall[]): StructureSigns;
}

/** A judge for one request's tools and conversation. */
export function judgeStructure(request: ChatRequest): StructuralJudge {
  const { toolChoice } = request;
  const tools = new Map(request.tools.map((tool) => [tool.name, tool]));
  return {
    faultOf(call) {
      const tool = tools.get(call.name);
      if (tool === undefined || toolChoice?.type === 'none') return 'unknown_tool';
      if (toolChoice?.type === 'function' && toolChoice.name !== call.name) return 'tool_call_invalid';
      const value = argumentsOf(call);
      if (value === undefined) return 'tool_call_unparsed';
      return schemaViolation(value, schemaOf(tool)) === undefined ? undefined : 'tool_call_invalid';
    },
    faultOfAll(calls) {
      if (calls.length > 1 && request.parallelToolCalls === false) return 'tool_call_invalid';
      const distinct = new Set(calls.map(identity));
      if (distinct.size < calls.length) return 'tool_call_invalid';
      const answered = answeredCalls(request);
      return calls.some((call) => answered.has(identity(call))) ? 'repeated_tool_call' : undefined;
    },
    signsOf(calls) {
      const grounding = groundingOf(request);
      const values = calls.map((call) => argumentsOf(call) ?? {});
      const shares = calls
        .map((call, index) => grounding.grounded(values[index] ?? {}, tools.get(call.name)?.parameters))
        .filter((share) => share !== undefined);
      return {
        grounded: shares.length === 0 ? undefined : Math.min(...shares),
        uncoveredTerms: grounding.uncoveredTerms(values),
        fewCalls: calls.length === 1 && grounding.asksForSeveral,
        repaired: calls.some((call) => call.repaired),
      };
    },
  };
}

/** Calls made since the user last spoke: each has its result by now, so the same call again leads nowhere. */
function answeredCalls({ messages }: ChatRequest): ReadonlySet<string> {
  const since = messages.slice(messages.findLastIndex(({ role }) => role === 'user') + 1);
  return new Set(
    since.flatMap((message) =>
      message.role === 'assistant'
        ? message.toolCalls.map(({ name, arguments: json }) => identity({ name, json, repaired: false }))
        : [],
    ),
  );
}

function identity(call: WrittenCall): string {
  return `${call.name} ${canonical(call)}`;
}

function argumentsOf({ json }: WrittenCall): JsonObject | undefined {
  const value = json.trim() === '' ? {} : parseJson(json);
  return isJsonObject(value) ? value : undefined;
}

function canonical(call: WrittenCall): string {
  const value = argumentsOf(call);
  return value === undefined
    ? call.json
    : JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** A tool without parameters takes none. */
function schemaOf(tool: ToolSpec): JsonObject {
  return tool.parameters ?? { type: 'object', properties: {} };
}
