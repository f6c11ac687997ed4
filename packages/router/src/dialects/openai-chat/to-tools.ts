import { RequestError } from '../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../core/json.ts';
import type { ToolChoice, ToolSpec } from '../../core/request.ts';
import type { ChatBody } from './chat-body.ts';
import { isGiven } from '../given.ts';
import { skippedTools } from '../skipped.ts';

/** Tools and the choice among them, whichever of the two wires they came by. */
export interface Toolset {
  readonly tools: readonly ToolSpec[];
  readonly toolChoice?: ToolChoice;
}

type Warnings = Map<string, string>;

/** @throws RequestError where the choice names a tool that was not declared */
export function toToolset(body: ChatBody, warnings: Warnings): Toolset {
  if (!isGiven(body.tools) && isGiven(body.functions)) return fromFunctions(body);
  const tools: ToolSpec[] = [];
  const skipped = skippedTools(warnings);
  for (const tool of body.tools ?? []) {
    if (tool.type === 'function') tools.push(toSpec(tool.function));
    else skipped.add(tool.type === 'custom' ? tool.type : tool.was);
  }
  return choose(tools, body.tool_choice, warnings);
}

function choose(tools: readonly ToolSpec[], choice: ChatBody['tool_choice'], warnings: Warnings): Toolset {
  if (!isGiven(choice)) return { tools };
  if (typeof choice === 'string') {
    if (choice === 'required') assertSome(tools, 'tool_choice');
    return { tools, toolChoice: { type: choice } };
  }
  switch (choice.type) {
    case 'custom':
      warnings.set('tool_choice', 'custom tools cannot be called');
      return { tools };
    case 'function': {
      const { name } = choice.function;
      assertDeclared(tools, name, 'tool_choice.function.name');
      return { tools, toolChoice: { type: 'function', name } };
    }
    // The allowed tools.
    default: {
      const names = new Set(
        choice.allowed_tools.tools.map((tool, i) => allowedName(tool, `tool_choice.allowed_tools.tools[${i}]`)),
      );
      const allowed = tools.filter((tool) => names.has(tool.name));
      assertSome(allowed, 'tool_choice.allowed_tools.tools');
      return { tools: allowed, toolChoice: { type: choice.allowed_tools.mode } };
    }
  }
}

function fromFunctions(body: ChatBody): Toolset {
  const tools = (body.functions ?? []).map(toSpec);
  const choice = body.function_call;
  if (!isGiven(choice)) return { tools };
  if (typeof choice === 'string') return { tools, toolChoice: { type: choice } };
  assertDeclared(tools, choice.name, 'function_call.name');
  return { tools, toolChoice: { type: 'function', name: choice.name } };
}

interface WireFunction {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly parameters?: JsonObject | null | undefined;
  readonly strict?: boolean | null | undefined;
}

function toSpec({ name, description, parameters, strict }: WireFunction): ToolSpec {
  return {
    name,
    ...(isGiven(description) && { description }),
    ...(isGiven(parameters) && { parameters }),
    ...(isGiven(strict) && { strict }),
  };
}

function allowedName(tool: JsonObject, param: string): string {
  const holder = tool[tool.type === 'custom' ? 'custom' : 'function'];
  if (isJsonObject(holder) && typeof holder.name === 'string') return holder.name;
  throw new RequestError(`${param}: must name a tool as {"type":"function","function":{"name":…}}.`, { param });
}

function assertSome(tools: readonly ToolSpec[], param: string): void {
  if (tools.length > 0) return;
  throw new RequestError(`${param}: asks for a tool call, but no such tool is declared in tools.`, { param });
}

function assertDeclared(tools: readonly ToolSpec[], name: string, param: string): void {
  if (tools.some((tool) => tool.name === name)) return;
  throw new RequestError(`${param}: names a tool that is not declared.`, { param });
}
