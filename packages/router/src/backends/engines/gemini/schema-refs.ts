import type { JsonObject, JsonValue } from '../../../core/json.ts';
import { isJsonObject } from '../../../core/json.ts';

/** Follows a `#…` JSON pointer (RFC 6901, percent-encoded as in a URI fragment); `undefined` where it leads nowhere. */
export function resolvePointer(root: JsonObject, ref: string): JsonValue | undefined {
  if (!ref.startsWith('#')) return undefined;
  const pointer = decodeFragment(ref.slice(1));
  if (pointer === '') return root;
  if (pointer === undefined) return undefined;
  if (!pointer.startsWith('/')) return findAnchor(root, pointer);
  let value: JsonValue | undefined = root;
  for (const token of pointer.slice(1).split('/')) {
    value = member(value, token.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (value === undefined) return undefined;
  }
  return value;
}

/** Whether references lead from a schema back to itself. Visits each part of the schema once. */
export function isCyclic(root: JsonObject, target: JsonObject): boolean {
  const seen = new Set<JsonObject>();
  const open: JsonValue[] = [target];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Array.isArray(value)) for (const item of value) open.push(item);
    else if (isJsonObject(value) && !seen.has(value)) {
      seen.add(value);
      for (const inner of Object.values(value)) open.push(inner);
      const next = typeof value['$ref'] === 'string' ? resolvePointer(root, value['$ref']) : undefined;
      if (next === target) return true;
      if (next !== undefined) open.push(next);
    }
  }
  return false;
}

function member(value: JsonValue, token: string): JsonValue | undefined {
  if (isJsonObject(value)) return Object.hasOwn(value, token) ? value[token] : undefined;
  if (Array.isArray(value) && /^\d+$/.test(token)) {
    const item: JsonValue | undefined = value[Number(token)];
    return item;
  }
  return undefined;
}

function decodeFragment(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return undefined;
  }
}

function findAnchor(root: JsonObject, name: string): JsonValue | undefined {
  const open: JsonValue[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (isJsonObject(value) && value['$anchor'] === name) return value;
    if (Array.isArray(value) || isJsonObject(value)) for (const inner of Object.values(value)) open.push(inner);
  }
  return undefined;
}
