import type { JsonObject, JsonValue } from '../../../core/json.ts';
import type { SchemaNode } from './schema-node.ts';

/** Types a schema means without naming them; empty where it says nothing of them. */
export function inferTypes(schema: JsonObject): string[] {
  const values = Array.isArray(schema['enum'])
    ? schema['enum']
    : schema['const'] === undefined
      ? []
      : [schema['const']];
  if (values.length > 0) return [...new Set(values.map(typeOfValue))];
  if (schema['properties'] !== undefined || schema['additionalProperties'] !== undefined) return ['object'];
  if (schema['items'] !== undefined || schema['prefixItems'] !== undefined) return ['array'];
  return schema['pattern'] === undefined ? [] : ['string'];
}

function typeOfValue(value: JsonValue): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

/** The node with the words of its schema, and whether null is allowed besides. */
export function described(node: SchemaNode, schema: JsonObject): SchemaNode {
  const { title, description, nullable } = schema;
  const values = Array.isArray(schema['enum']) ? schema['enum'] : [];
  const text = [typeof description === 'string' ? description : '', node.description ?? ''].filter(Boolean).join(' ');
  return {
    ...node,
    ...(typeof title === 'string' && title !== '' ? { title } : {}),
    ...(text === '' ? {} : { description: text }),
    ...(nullable === true || values.includes(null) ? { nullable: true } : {}),
  };
}
