import { RequestError } from '../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../core/json.ts';
import type { ToolChoice } from '../../core/request.ts';
import { isGiven } from '../given.ts';
import { assertTameSchema, type PatternBudget, patternCharsPerRequest } from '../schema-patterns.ts';
import { type Skipped, skippedTools } from '../skipped.ts';
import { FlatTools } from '../tools.ts';
import type { ResponsesBody, WireItem } from './schema.ts';

type Warnings = Map<string, string>;
type WireTool = NonNullable<ResponsesBody['tools']>[number];

/** The tools of a request, those that its input declares included, and the choice among them. */
export interface ReadTools {
  readonly tools: FlatTools;
  readonly toolChoice?: ToolChoice;
}

/** @throws RequestError where a function has no name, or the choice names what was never declared */
export function readTools(body: ResponsesBody, items: readonly WireItem[], warnings: Warnings): ReadTools {
  const offered = new Offered(warnings);
  for (const [i, tool] of (body.tools ?? []).entries()) offered.add(tool, `tools[${i}]`);
  for (const [i, item] of items.entries()) {
    if (item.type !== 'additional_tools') continue;
    for (const [j, tool] of item.tools.entries()) offered.add(tool, `input[${i}].tools[${j}]`);
  }
  return offered.choose(body.tool_choice);
}

class Offered {
  readonly tools = new FlatTools();
  readonly #skipped = new Set<string>();
  readonly #warnings: Warnings;
  readonly #skippedTypes: Skipped;
  readonly #patterns: PatternBudget = { left: patternCharsPerRequest };

  constructor(warnings: Warnings) {
    this.#warnings = warnings;
    this.#skippedTypes = skippedTools(warnings);
  }

  add(tool: WireTool, param: string, namespace?: string): void {
    switch (tool.type) {
      case 'function':
        return this.#addFunction(tool, param, namespace);
      case 'custom': {
        const name = nameOf(tool, param);
        return this.tools.addCustom(namespaced(name, namespace), customDescription(tool));
      }
      case 'namespace': {
        const members = Array.isArray(tool['tools']) ? tool['tools'] : [];
        const name = typeof tool['name'] === 'string' ? tool['name'] : '';
        for (const [i, member] of members.entries()) {
          if (!isJsonObject(member) || typeof member['type'] !== 'string') continue;
          this.add({ ...member, type: member['type'] }, `${param}.tools[${i}]`, name === '' ? undefined : name);
        }
        return;
      }
      default:
        this.#skipped.add(tool.type);
        if (typeof tool['name'] === 'string') this.#skipped.add(tool['name']);
        this.#skippedTypes.add(tool.type);
    }
  }

  choose(choice: ResponsesBody['tool_choice']): ReadTools {
    const { tools } = this;
    if (!isGiven(choice) || choice === 'auto') return { tools };
    if (choice === 'none') return { tools, toolChoice: { type: 'none' } };
    if (choice === 'required') {
      if (tools.specs.length > 0) return { tools, toolChoice: { type: 'required' } };
      if (this.#skipped.size === 0) throw undeclared('tool_choice');
      return this.#freely();
    }
    if (choice.type === 'function' || choice.type === 'custom') return this.#chooseNamed(choice);
    if (choice.type === 'allowed_tools') return this.#chooseAmong(choice);
    return this.#freely();
  }

  #addFunction(tool: WireTool, param: string, namespace: string | undefined): void {
    const name = nameOf(tool, param);
    const { description, parameters, strict } = tool;
    if (isGiven(parameters) && !isJsonObject(parameters)) {
      throw new RequestError(`${param}.parameters: expected an object.`, { param: `${param}.parameters` });
    }
    if (isGiven(parameters)) assertTameSchema(parameters, `${param}.parameters`, this.#patterns);
    this.tools.add(namespaced(name, namespace), {
      ...(typeof description === 'string' && { description }),
      ...(isGiven(parameters) && { parameters }),
      ...(typeof strict === 'boolean' && { strict }),
    });
  }

  #chooseNamed(choice: JsonLike): ReadTools {
    const { tools } = this;
    const name = typeof choice['name'] === 'string' ? choice['name'] : '';
    const flat = tools.flatName(name);
    if (tools.specs.some((spec) => spec.name === flat)) return { tools, toolChoice: { type: 'function', name: flat } };
    if (this.#skipped.has(name)) return this.#freely();
    throw undeclared('tool_choice.name');
  }

  #chooseAmong(choice: JsonLike): ReadTools {
    const { tools } = this;
    const wanted = Array.isArray(choice['tools']) ? choice['tools'] : [];
    const names = new Set(
      wanted.flatMap((tool) =>
        isJsonObject(tool) && typeof tool['name'] === 'string' ? [tools.flatName(tool['name'])] : [],
      ),
    );
    const allowed = tools.specs.filter(({ name }) => names.has(name));
    if (allowed.length === 0) {
      if (this.#skipped.size > 0) return this.#freely();
      throw undeclared('tool_choice.tools');
    }
    tools.specs.splice(0, tools.specs.length, ...allowed);
    return choice['mode'] === 'required' ? { tools, toolChoice: { type: 'required' } } : { tools };
  }

  #freely(): ReadTools {
    this.#warnings.set('tool_choice', 'names a tool that is not offered; the model chooses');
    return { tools: this.tools };
  }
}

type JsonLike = Readonly<Record<string, unknown>>;

function namespaced(name: string, namespace: string | undefined) {
  return namespace === undefined ? { name } : { name, namespace };
}

function nameOf(tool: WireTool, param: string): string {
  const { name } = tool;
  if (typeof name === 'string' && name !== '') return name;
  throw new RequestError(`${param}.name: is required.`, {
    code: 'missing_required_parameter',
    param: `${param}.name`,
  });
}

/** A model cannot be held to a grammar it is not shown. */
function customDescription(tool: WireTool): string | undefined {
  const description = typeof tool['description'] === 'string' ? tool['description'] : '';
  const format: unknown = tool['format'];
  const definition = isJsonObject(format) ? grammarText(format) : undefined;
  const text =
    definition === undefined ? description : `${description}\nThe input follows this grammar:\n${definition}`;
  return text === '' ? undefined : text;
}

function grammarText(format: JsonObject): string | undefined {
  const { definition, grammar } = format;
  if (typeof definition === 'string') return definition;
  return isJsonObject(grammar) && typeof grammar['definition'] === 'string' ? grammar['definition'] : undefined;
}

function undeclared(param: string): RequestError {
  return new RequestError(`${param}: asks for a tool call, but no such tool is declared in tools.`, { param });
}
