import * as z from 'zod';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { configFile } from './schema.ts';

/** JSON Schema (draft 2020-12) of `lfo.yaml`, for the completion of editors. Costs a few milliseconds. */
export function configJsonSchema(): JsonObject {
  const schema: JsonValue = JSON.parse(JSON.stringify(z.toJSONSchema(configFile, { io: 'input' })));
  if (!isJsonObject(schema)) throw new TypeError('The schema of the configuration is not an object.');
  const { $schema, ...rest } = schema;
  return { $schema: $schema ?? '', title: 'lfo.yaml', description: 'Configuration of LFO.', ...rest };
}

/** Keys allowed in the object at `path`; in a list of alternatives those of the one with this `kind`, else of all. */
export function keysAt(schema: JsonObject, path: readonly PropertyKey[], kindOf: (depth: number) => unknown): string[] {
  let nodes: JsonObject[] = [schema];
  path.forEach((part, index) => {
    nodes = nodes.flatMap((node) => children(node, part)).filter((node) => hasKind(node, kindOf(index + 1)));
  });
  return [...new Set(nodes.flatMap((node) => Object.keys(properties(node))))];
}

function children(node: JsonObject, part: PropertyKey): JsonObject[] {
  const child = typeof part === 'number' ? node['items'] : properties(node)[String(part)];
  if (!isJsonObject(child)) return [];
  const alternatives = child['oneOf'] ?? child['anyOf'];
  return Array.isArray(alternatives) ? alternatives.filter(isJsonObject) : [child];
}

function hasKind(node: JsonObject, kind: unknown): boolean {
  const declared = properties(node)['kind'];
  return kind === undefined || !isJsonObject(declared) || declared['const'] === kind;
}

function properties(node: JsonObject): JsonObject {
  const declared = node['properties'];
  return isJsonObject(declared) ? declared : {};
}
