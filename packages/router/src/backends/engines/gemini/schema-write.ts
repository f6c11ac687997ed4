import type { JsonObject } from '../../../core/json.ts';
import type { ArrayNode, ObjectNode, SchemaNode, SchemaTree } from './schema-node.ts';

/** As JSON Schema, in the keywords `parametersJsonSchema` and `responseJsonSchema` take. */
export function writeJsonSchema({ root, definitions }: SchemaTree): JsonObject {
  const schema = jsonNode(root);
  if (definitions.length === 0) return schema;
  return { ...schema, $defs: Object.fromEntries(definitions.map(([name, node]) => [name, jsonNode(node)])) };
}

function jsonNode(node: SchemaNode): JsonObject {
  const words = pick(node, ['title', 'description']);
  if (node.nullable !== true) return jsonShape(node, words);
  if (node.type === 'any' || node.type === 'null') return jsonShape(node, words);
  if (node.type === 'union') return { ...words, anyOf: [...node.members.map(jsonNode), { type: 'null' }] };
  // An enum beside the type null would not allow null.
  const isWrapped = node.type === 'reference' || (node.type === 'string' && node.enum !== undefined);
  if (isWrapped) return { ...words, anyOf: [jsonShape(node, {}), { type: 'null' }] };
  return { ...jsonShape(node, words), type: [node.type, 'null'] };
}

function jsonShape(node: SchemaNode, words: JsonObject): JsonObject {
  switch (node.type) {
    case 'any':
      return words;
    case 'union':
      return { ...words, anyOf: node.members.map(jsonNode) };
    case 'reference':
      return { $ref: `#/$defs/${node.name}` };
    case 'string':
      return { type: node.type, ...words, ...pick(node, ['enum', 'format', 'pattern', 'minLength', 'maxLength']) };
    case 'number':
    case 'integer':
      return { type: node.type, ...words, ...pick(node, ['format', 'minimum', 'maximum']) };
    case 'boolean':
    case 'null':
      return { type: node.type, ...words };
    case 'array':
      return jsonArray(node, words);
    default:
      return jsonObject(node, words);
  }
}

function jsonArray(node: ArrayNode, words: JsonObject): JsonObject {
  return {
    type: 'array',
    ...words,
    ...(node.prefixItems === undefined ? {} : { prefixItems: node.prefixItems.map(jsonNode) }),
    ...(node.items === undefined && node.prefixItems !== undefined
      ? {}
      : { items: node.items ? jsonNode(node.items) : {} }),
    ...pick(node, ['minItems', 'maxItems']),
  };
}

function jsonObject(node: ObjectNode, words: JsonObject): JsonObject {
  const more = node.additionalProperties;
  return {
    type: 'object',
    ...words,
    ...(node.properties.length === 0 ? {} : { properties: mapped(node, jsonNode) }),
    ...(node.required.length === 0 ? {} : { required: node.required }),
    ...(more === undefined ? {} : { additionalProperties: typeof more === 'boolean' ? more : jsonNode(more) }),
  };
}

/** As Gemini's own `Schema` message, for models that take no JSON Schema; references must have been inlined. */
export function writeNativeSchema({ root }: SchemaTree): JsonObject {
  return nativeNode(root);
}

function nativeNode(node: SchemaNode): JsonObject {
  const words = { ...pick(node, ['title', 'description']), ...(node.nullable === true ? { nullable: true } : {}) };
  switch (node.type) {
    case 'any':
    case 'reference':
      return nativeUnion([{ type: 'string' }, { type: 'number' }, { type: 'boolean' }], words);
    case 'union':
      return nativeUnion(node.members, words);
    case 'null':
      return { type: 'STRING', ...words, nullable: true };
    case 'string':
      return nativeString(node, words);
    case 'number':
    case 'integer':
      return { type: node.type.toUpperCase(), ...words, ...pick(node, ['format', 'minimum', 'maximum']) };
    case 'boolean':
      return { type: 'BOOLEAN', ...words };
    case 'array':
      return nativeArray(node, words);
    default:
      return nativeObject(node, words);
  }
}

/** `anyOf` stands alone: what is said beside it is said of its first member, where nobody has said it yet. */
function nativeUnion(members: readonly SchemaNode[], words: JsonObject): JsonObject {
  return {
    anyOf: members.map((member, index) => (index === 0 ? withWords(nativeNode(member), words) : nativeNode(member))),
  };
}

function withWords(schema: JsonObject, words: JsonObject): JsonObject {
  const { anyOf } = schema;
  if (!Array.isArray(anyOf)) return { ...words, ...schema };
  const [first, ...others]: readonly JsonObject[] = anyOf;
  return { anyOf: [withWords(first ?? {}, words), ...others] };
}

/** Of the formats of a string the native dialect knows one. */
function nativeString(node: Extract<SchemaNode, { type: 'string' }>, words: JsonObject): JsonObject {
  const format = node.enum === undefined && node.format === 'date-time' ? { format: node.format } : {};
  return { type: 'STRING', ...words, ...format, ...pick(node, ['enum', 'pattern', 'minLength', 'maxLength']) };
}

function nativeArray(node: ArrayNode, words: JsonObject): JsonObject {
  const kinds = [...(node.prefixItems ?? []), ...(node.items === undefined ? [] : [node.items])];
  const [first, second] = kinds;
  const items: SchemaNode =
    first === undefined ? { type: 'any' } : second === undefined ? first : { type: 'union', members: kinds };
  return { type: 'ARRAY', ...words, items: nativeNode(items), ...pick(node, ['minItems', 'maxItems']) };
}

/** The native dialect refuses an object without properties. */
function nativeObject(node: ObjectNode, words: JsonObject): JsonObject {
  const isFree = node.properties.length === 0;
  return {
    type: 'OBJECT',
    ...words,
    properties: isFree ? freeForm : mapped(node, nativeNode),
    ...(node.required.length === 0 ? {} : { required: node.required }),
  };
}

const freeForm: JsonObject = {
  json: { type: 'STRING', nullable: true, description: 'The members of this object, as JSON text.' },
};

/** Own members even for a property named `__proto__`. */
function mapped(node: ObjectNode, write: (node: SchemaNode) => JsonObject): JsonObject {
  return Object.fromEntries(node.properties.map(([name, inner]) => [name, write(inner)]));
}

function pick<Source extends object>(source: Source, keys: readonly (keyof Source & string)[]): JsonObject {
  const picked = {};
  for (const key of keys) if (source[key] !== undefined) Object.assign(picked, { [key]: source[key] });
  return picked;
}
