import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';

/** Members whose insides are the caller's own and keep their spelling. */
const opaque = new Set([
  'args',
  'response',
  'parameters',
  'parametersJsonSchema',
  'responseSchema',
  'responseJsonSchema',
]);

/** The body in the one spelling that is read: both `systemInstruction` and `system_instruction` are in use. */
export function camelCased(value: JsonObject): JsonObject {
  const result: Record<string, JsonValue> = {};
  for (const [key, inner] of Object.entries(value)) {
    const name = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    result[name] = opaque.has(name) ? inner : camelCasedValue(inner);
  }
  return result;
}

function camelCasedValue(value: JsonValue): JsonValue {
  if (isJsonObject(value)) return camelCased(value);
  return isList(value) ? value.map(camelCasedValue) : value;
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Google's own form of a schema as JSON Schema: types in lower case, nullability as a type. */
export function plainSchema(schema: JsonObject): JsonObject {
  const { type, nullable, propertyOrdering: _ordering, ...rest } = camelCasedSchema(schema);
  const name = typeof type === 'string' ? type.toLowerCase() : type;
  const plain: Record<string, JsonValue> = {};
  if (name !== undefined && name !== 'type_unspecified')
    plain['type'] = nullable === true ? [name, 'null'].flat() : name;
  for (const [key, value] of Object.entries(rest)) plain[key] = plainMember(key, value);
  return plain;
}

/** The names of keywords only: those of properties are the caller's. */
function camelCasedSchema(schema: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
}

function plainMember(key: string, value: JsonValue): JsonValue {
  if (key === 'properties' && isJsonObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, isJsonObject(inner) ? plainSchema(inner) : inner]),
    );
  }
  if (key === 'items' && isJsonObject(value)) return plainSchema(value);
  if ((key === 'anyOf' || key === 'prefixItems') && isList(value)) {
    return value.map((inner) => (isJsonObject(inner) ? plainSchema(inner) : inner));
  }
  // Google writes its 64-bit bounds as strings.
  if (/^(min|max)(Items|Length|Properties)$/.test(key) && typeof value === 'string') return Number(value);
  return value;
}
