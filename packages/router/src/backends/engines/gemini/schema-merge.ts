import type { JsonObject, JsonValue } from '../../../core/json.ts';
import { isJsonObject } from '../../../core/json.ts';

/** One schema for both: members of objects are joined, of other keywords the first one said holds. */
export function mergeSchemas(first: JsonObject, second: JsonObject): JsonObject {
  return {
    ...second,
    ...first,
    ...joined('properties', mergeProperties(first['properties'], second['properties'])),
    ...joined('required', mergeLists(first['required'], second['required'])),
    ...joined('allOf', mergeLists(first['allOf'], second['allOf'])),
  };
}

function joined(keyword: string, value: JsonValue | undefined): JsonObject {
  return value === undefined ? {} : { [keyword]: value };
}

function mergeProperties(first: JsonValue | undefined, second: JsonValue | undefined): JsonValue | undefined {
  if (!isJsonObject(first)) return first ?? second;
  if (!isJsonObject(second)) return first;
  const both = new Map<string, JsonValue>(Object.entries(first));
  for (const [name, schema] of Object.entries(second)) {
    const earlier = both.get(name);
    both.set(name, earlier === undefined ? schema : { allOf: [earlier, schema] });
  }
  // Own members even for `__proto__`.
  return Object.fromEntries(both);
}

function mergeLists(first: JsonValue | undefined, second: JsonValue | undefined): JsonValue | undefined {
  if (!Array.isArray(first)) return first ?? second;
  return Array.isArray(second) ? [...first, ...second] : first;
}
