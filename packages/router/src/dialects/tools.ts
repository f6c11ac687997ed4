import { isJsonObject, type JsonObject, parseJson } from '../core/json.ts';
import type { ToolSpec } from '../core/request.ts';

/** Under which name a client knows a tool that models are offered flat. */
export interface ToolOrigin {
  readonly name: string;
  readonly namespace?: string;
  /** Takes free text instead of JSON arguments. */
  readonly isCustom?: boolean;
}

const maxNameLength = 64;

/**
 * Offers tools of every form as functions with unique flat names, and finds the client's own name again by table, never
 * by parsing. A name that comes twice keeps its first declaration.
 */
export class FlatTools {
  readonly specs: ToolSpec[] = [];
  readonly #origins = new Map<string, ToolOrigin>();
  readonly #flat = new Map<string, string>();

  add(origin: ToolOrigin, spec: Omit<ToolSpec, 'name'>): void {
    const key = keyOf(origin);
    if (this.#flat.has(key)) return;
    const name = this.#unique(origin.namespace === undefined ? origin.name : `${origin.namespace}__${origin.name}`);
    this.#flat.set(key, name);
    this.#origins.set(name, origin);
    this.specs.push({ name, ...spec });
  }

  /** A tool that takes free text: to the model a function with one string argument. */
  addCustom(origin: ToolOrigin, description: string | undefined): void {
    this.add(
      { ...origin, isCustom: true },
      { ...(description !== undefined && { description }), parameters: textInput },
    );
  }

  /** The flat name of a client's tool; one that was not declared keeps its own. */
  flatName(name: string, namespace?: string): string {
    const origin = namespace === undefined ? { name } : { name, namespace };
    return this.#flat.get(keyOf(origin)) ?? flatten(namespace === undefined ? name : `${namespace}__${name}`);
  }

  /** Whose tool a flat name is. */
  originOf(flatName: string): ToolOrigin {
    return this.#origins.get(flatName) ?? { name: flatName };
  }

  #unique(wanted: string): string {
    const base = flatten(wanted);
    for (let n = 2, name = base; ; n++) {
      if (!this.#origins.has(name)) return name;
      const suffix = `_${n}`;
      name = base.slice(0, maxNameLength - suffix.length) + suffix;
    }
  }
}

const textInput: JsonObject = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
};

/** The text a model gave a custom tool: its argument, or its bare words where it wrote no JSON. */
export function customInput(argumentsText: string): string {
  const parsed = parseJson(argumentsText);
  if (isJsonObject(parsed) && typeof parsed['input'] === 'string') return parsed['input'];
  return typeof parsed === 'string' ? parsed : argumentsText;
}

function keyOf({ name, namespace }: ToolOrigin): string {
  return JSON.stringify([namespace ?? null, name]);
}

function flatten(name: string): string {
  return name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, maxNameLength);
}
