import { RequestError } from '../../core/errors.ts';
import type { ToolChoice } from '../../core/request.ts';
import { isGiven } from '../given.ts';
import { assertTameSchema, type PatternBudget, patternCharsPerRequest } from '../schema-patterns.ts';
import { type Skipped, skippedTools } from '../skipped.ts';
import { FlatTools } from '../tools.ts';
import type { CountBody, MessagesBody } from './schema.ts';

type Warnings = Map<string, string>;
type WireTool = NonNullable<MessagesBody['tools']>[number];

/** The tools of a request as they stand at the end of its conversation, and the choice among them. */
export interface ReadTools {
  readonly tools: FlatTools;
  readonly toolChoice?: ToolChoice;
}

/** @throws RequestError where a tool has no name, or the choice names what is not declared */
export function readTools(body: MessagesBody | CountBody, warnings: Warnings): ReadTools {
  const offered = new Offered(warnings);
  const { wanted, removed, defined } = changesIn(body);
  const declared = (body.tools ?? []).map((tool, i): DeclaredTool => ({ tool, param: `tools[${i}]` }));
  // Only the vendor's own servers search among the others, so that no model would ever hear of them.
  const isSearchSkipped = declared.some(({ tool }) => tool.type?.startsWith('tool_search_tool') === true);
  const late: DeclaredTool[] = [];
  for (const one of declared) {
    const { name = '', defer_loading: isDeferred } = one.tool;
    if (removed.has(name ?? '') || defined.has(name ?? '')) continue;
    if (isDeferred !== true || isSearchSkipped || isOfServers(one.tool)) offered.add(one);
    else if (wanted.has(name ?? '')) late.push(one);
  }
  for (const [name, one] of defined) if (!removed.has(name)) late.push(one);
  // A newly offered one goes last, so that the prompt before it stays as it was.
  for (const one of late) offered.add(one);
  return offered.choose(body.tool_choice);
}

/** A tool, and where the request declares it. */
interface DeclaredTool {
  readonly tool: WireTool;
  readonly param: string;
}

class Offered {
  readonly #tools = new FlatTools();
  readonly #skipped = new Set<string>();
  readonly #skippedTypes: Skipped;
  readonly #warnings: Warnings;
  readonly #patterns: PatternBudget = { left: patternCharsPerRequest };

  constructor(warnings: Warnings) {
    this.#warnings = warnings;
    this.#skippedTypes = skippedTools(warnings);
  }

  add({ tool, param }: DeclaredTool): void {
    const { name, description, input_schema: parameters, strict, type } = tool;
    if (isOfServers(tool)) {
      this.#skipped.add(name ?? type ?? '');
      return this.#skippedTypes.add(type ?? '');
    }
    if (!isGiven(name)) {
      throw new RequestError(`${param}.name: is required.`, {
        code: 'missing_required_parameter',
        param: `${param}.name`,
      });
    }
    if (isGiven(parameters)) assertTameSchema(parameters, `${param}.input_schema`, this.#patterns);
    this.#tools.add(
      { name },
      {
        ...(isGiven(description) && { description }),
        ...(isGiven(parameters) && { parameters }),
        ...(isGiven(strict) && { strict }),
      },
    );
  }

  choose(choice: MessagesBody['tool_choice']): ReadTools {
    const tools = this.#tools;
    if (!isGiven(choice) || choice.type === 'auto') return { tools };
    if (choice.type === 'none') return { tools, toolChoice: { type: 'none' } };
    if (choice.type === 'any' && tools.specs.length > 0) return { tools, toolChoice: { type: 'required' } };
    if (choice.type === 'tool') {
      const name = tools.flatName(choice.name);
      if (tools.specs.some((spec) => spec.name === name)) return { tools, toolChoice: { type: 'function', name } };
      if (!this.#skipped.has(choice.name)) {
        throw new RequestError('tool_choice.name: names a tool that is not declared.', { param: 'tool_choice.name' });
      }
    } else if (this.#skipped.size === 0) {
      throw new RequestError('tool_choice: asks for a tool call, but no tool is declared in tools.', {
        param: 'tool_choice',
      });
    }
    this.#warnings.set('tool_choice', 'names a tool that is not offered; the model chooses');
    return { tools };
  }
}

/** Whether only the vendor's own servers know what a tool is. */
function isOfServers({ type }: WireTool): boolean {
  return isGiven(type) && type !== 'custom';
}

/** What a conversation says of its tools; the last word on each counts. */
interface ToolChanges {
  /** Tools that it speaks of: those whose definition may no longer be left out. */
  readonly wanted: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
  /** Those that it defines itself, in place of any of the same name. */
  readonly defined: ReadonlyMap<string, DeclaredTool>;
}

function changesIn({ messages, tool_choice: choice }: MessagesBody | CountBody): ToolChanges {
  const wanted = new Set<string>(choice?.type === 'tool' ? [choice.name] : []);
  const removed = new Set<string>();
  const defined = new Map<string, DeclaredTool>();
  for (const [i, { content }] of messages.entries()) {
    if (!isGiven(content) || typeof content === 'string') continue;
    for (const [j, block] of content.entries()) {
      if (block.type === 'tool_use') wanted.add(block.name);
      else if (block.type === 'tool_result' && isGiven(block.content) && typeof block.content !== 'string') {
        for (const part of block.content) if (part.type === 'tool_reference') wanted.add(part.tool_name);
      } else if (block.type === 'tool_removal') {
        if (block.tool.type === 'tool_reference') removed.add(block.tool.name);
      } else if (block.type === 'tool_addition') {
        const { tool } = block;
        if (tool.type === 'tool_reference') {
          wanted.add(tool.name);
          removed.delete(tool.name);
        } else if (tool.type === 'tool_definition') {
          const name = tool.definition.name ?? '';
          removed.delete(name);
          defined.set(name, { tool: tool.definition, param: `messages[${i}].content[${j}].tool.definition` });
        }
      }
    }
  }
  return { wanted, removed, defined };
}
