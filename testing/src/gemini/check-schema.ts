import { isObject } from './check-fields.ts';

type Schema = Readonly<Record<string, unknown>>;

/** What `parametersJsonSchema` and `responseJsonSchema` document, and four more that recorded requests show. */
const jsonKeywords = new Set(
  (
    '$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum ' +
    'anyOf oneOf properties additionalProperties required $schema minLength maxLength pattern'
  ).split(' '),
);

const jsonTypes = new Set(['string', 'number', 'integer', 'boolean', 'array', 'object', 'null']);

/** Why Gemini would refuse a JSON Schema; `undefined` when it takes it. */
export function checkJsonSchema(root: unknown, path: string): string | undefined {
  if (!isObject(root)) return `${path}: a schema must be an object.`;
  return checkJsonNode(root, root, path, false);
}

function checkJsonNode(root: Schema, schema: unknown, path: string, isOptional: boolean): string | undefined {
  if (!isObject(schema)) return `${path}: a schema must be an object.`;
  const unknown = Object.keys(schema).find((keyword) => !jsonKeywords.has(keyword));
  if (unknown !== undefined) return `${path}: unknown keyword ${unknown}.`;
  if (schema['$ref'] !== undefined) return checkReference(root, schema, path, isOptional);
  const fault =
    checkType(schema, path) ?? checkEnum(schema, path, 'string') ?? checkObjectKeywords(schema, path, 'object');
  if (fault !== undefined) return fault;
  const inner = (value: unknown, name: string, optional = isOptional): string | undefined =>
    checkJsonNode(root, value, `${path}.${name}`, optional);
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  return (
    eachEntry(schema['properties'], (name, value) =>
      inner(value, `properties.${name}`, isOptional || !required.includes(name)),
    ) ??
    eachEntry(schema['$defs'], (name, value) => inner(value, `$defs.${name}`, false)) ??
    eachItem(schema['anyOf'], (index, value) => inner(value, `anyOf[${index}]`)) ??
    eachItem(schema['oneOf'], (index, value) => inner(value, `oneOf[${index}]`)) ??
    eachItem(schema['prefixItems'], (index, value) => inner(value, `prefixItems[${index}]`)) ??
    (schema['items'] === undefined ? undefined : inner(schema['items'], 'items')) ??
    (isObject(schema['additionalProperties'])
      ? inner(schema['additionalProperties'], 'additionalProperties', true)
      : undefined)
  );
}

function checkReference(root: Schema, schema: Schema, path: string, isOptional: boolean): string | undefined {
  if (Object.keys(schema).some((keyword) => !keyword.startsWith('$'))) return `${path}: nothing may stand beside $ref.`;
  const target = resolve(root, schema['$ref']);
  if (target === undefined) return `${path}: $ref leads nowhere.`;
  if (!isOptional && leadsTo(root, target, schema)) return `${path}: a cyclic $ref in a required property.`;
  return undefined;
}

function resolve(root: Schema, ref: unknown): Schema | undefined {
  if (typeof ref !== 'string' || !ref.startsWith('#/$defs/')) return undefined;
  const definitions = root['$defs'];
  const name = ref.slice('#/$defs/'.length);
  const target = isObject(definitions) && Object.hasOwn(definitions, name) ? definitions[name] : undefined;
  return isObject(target) ? target : undefined;
}

function leadsTo(root: Schema, from: Schema, goal: Schema): boolean {
  const seen = new Set<unknown>();
  const open: unknown[] = [from];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (value === goal) return true;
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    open.push(...Object.values(value));
    if (isObject(value) && value['$ref'] !== undefined) open.push(resolve(root, value['$ref']) ?? null);
  }
  return false;
}

function checkType(schema: Schema, path: string): string | undefined {
  const { type } = schema;
  if (type === undefined) return undefined;
  const types: unknown[] = Array.isArray(type) ? type : [type];
  const isKnown = types.length > 0 && types.every((one) => typeof one === 'string' && jsonTypes.has(one));
  return isKnown ? undefined : `${path}.type: unknown type.`;
}

function checkEnum(schema: Schema, path: string, stringType: string): string | undefined {
  const { enum: values } = schema;
  if (values === undefined) return undefined;
  if (schema['type'] === undefined) return `${path}.enum: an enum needs a type.`;
  if (schema['type'] !== stringType) return `${path}.enum: only allowed for strings.`;
  const isSound =
    Array.isArray(values) && values.length > 0 && values.every((value) => typeof value === 'string' && value !== '');
  return isSound ? undefined : `${path}.enum: members must be strings, none empty.`;
}

function checkObjectKeywords(schema: Schema, path: string, objectType: string): string | undefined {
  const types: unknown[] = Array.isArray(schema['type']) ? schema['type'] : [schema['type']];
  const properties = isObject(schema['properties']) ? schema['properties'] : undefined;
  if ((properties ?? schema['required']) !== undefined && !types.includes(objectType)) {
    return `${path}: properties and required are for objects alone.`;
  }
  const required: unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const stray = required.find((name) => typeof name !== 'string' || !Object.hasOwn(properties ?? {}, name));
  return stray === undefined ? undefined : `${path}.required: ${JSON.stringify(stray)} is not defined.`;
}

/** Why Gemini would refuse a native `Schema` whose fields are known to be right; `undefined` when it takes it. */
export function checkNativeSchema(schema: unknown, path: string): string | undefined {
  if (!isObject(schema)) return `${path}: a schema must be an object.`;
  if (schema['anyOf'] !== undefined) {
    if (Object.keys(schema).length > 1) return `${path}: any_of must be the only field set.`;
    return eachItem(schema['anyOf'], (index, value) => checkNativeSchema(value, `${path}.any_of[${index}]`));
  }
  const { type } = schema;
  if (type === undefined) return `${path}: type must be set.`;
  if (type === 'ARRAY' && schema['items'] === undefined) return `${path}.items: missing field.`;
  if (type !== 'ARRAY' && schema['items'] !== undefined) return `${path}.items: only allowed for ARRAY.`;
  if (type === 'OBJECT' && Object.keys(isObject(schema['properties']) ? schema['properties'] : {}).length === 0) {
    return `${path}.properties: should be non-empty for OBJECT type.`;
  }
  if (
    type === 'STRING' &&
    schema['format'] !== undefined &&
    schema['format'] !== 'enum' &&
    schema['format'] !== 'date-time'
  ) {
    return `${path}.format: only 'enum' and 'date-time' are supported for STRING type.`;
  }
  return (
    checkEnum(schema, path, 'STRING') ??
    checkObjectKeywords(schema, path, 'OBJECT') ??
    eachEntry(schema['properties'], (name, value) => checkNativeSchema(value, `${path}.properties[${name}]`)) ??
    (schema['items'] === undefined ? undefined : checkNativeSchema(schema['items'], `${path}.items`))
  );
}

function eachEntry(value: unknown, check: (name: string, value: unknown) => string | undefined): string | undefined {
  if (!isObject(value)) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const fault = check(name, inner);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function eachItem(value: unknown, check: (index: number, value: unknown) => string | undefined): string | undefined {
  if (!Array.isArray(value)) return undefined;
  for (const [index, inner] of value.entries()) {
    const fault = check(index, inner);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
