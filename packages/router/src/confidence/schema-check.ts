import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';

/** First way in which a value does not fit its schema. */
export type SchemaViolation = 'missing' | 'unexpected' | 'type' | 'enum' | 'range' | 'combination';

/**
 * Checks a value against the part of JSON Schema that tools and answer formats use. Interpreted, with a budget of steps:
 * schemas come from clients, each is used once, so compiling one costs more than checking and would let it run code
 * of its own size; `pattern`, `format` and `uniqueItems` are not evaluated, as their cost is the client's to choose.
 * Undeclared properties are misfits unless `additionalProperties` allows them: functions are called by name.
 * Returns undefined when it fits, or when the budget ended before a violation was found.
 */
export function schemaViolation(value: JsonValue, schema: JsonObject): SchemaViolation | undefined {
  return check(value, schema, { root: schema, steps: maxSteps }, 0);
}

interface Budget {
  readonly root: JsonObject;
  steps: number;
}

function check(
  value: JsonValue,
  schema: JsonValue | undefined,
  budget: Budget,
  depth: number,
): SchemaViolation | undefined {
  if (schema === false) return 'unexpected';
  if (!isJsonObject(schema)) return undefined;
  if (budget.steps <= 0 || depth > maxDepth) return undefined;
  budget.steps -= 1 + lengthAt(schema, 'enum') + lengthAt(schema, 'required');
  const target = own(schema, '$ref');
  if (typeof target === 'string') return check(value, resolve(target, budget.root), budget, depth + 1);
  return (
    checkType(value, schema) ??
    checkChoice(value, schema) ??
    checkRange(value, schema) ??
    checkMembers(value, schema, budget, depth) ??
    checkCombination(value, schema, budget, depth)
  );
}

function checkType(value: JsonValue, schema: JsonObject): SchemaViolation | undefined {
  const type = own(schema, 'type');
  if (value === null && own(schema, 'nullable') === true) return undefined;
  const types = Array.isArray(type) ? type : type === undefined ? [] : [type];
  if (types.length === 0 || types.some((name) => isOfType(value, name))) return undefined;
  return 'type';
}

function isOfType(value: JsonValue, type: JsonValue): boolean {
  switch (type) {
    case 'string':
    case 'boolean':
      return typeof value === type;
    case 'number':
      return typeof value === 'number';
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isJsonObject(value);
    default:
      return true;
  }
}

function checkChoice(value: JsonValue, schema: JsonObject): SchemaViolation | undefined {
  const choices = own(schema, 'enum');
  const constant = own(schema, 'const');
  const allowed = Array.isArray(choices) ? choices : constant === undefined ? undefined : [constant];
  if (allowed === undefined || allowed.includes(value)) return undefined;
  const text = typeof value === 'object' ? JSON.stringify(value) : undefined;
  const isAllowed = allowed.some((choice) => typeof choice === 'object' && JSON.stringify(choice) === text);
  return isAllowed ? undefined : 'enum';
}

function checkRange(value: JsonValue, schema: JsonObject): SchemaViolation | undefined {
  const within = (size: number, least: string, most: string): boolean =>
    size >= (numberAt(schema, least) ?? -Infinity) && size <= (numberAt(schema, most) ?? Infinity);
  let ok = true;
  if (typeof value === 'number') {
    ok = within(value, 'minimum', 'maximum');
    ok &&= value > (numberAt(schema, 'exclusiveMinimum') ?? -Infinity);
    ok &&= value < (numberAt(schema, 'exclusiveMaximum') ?? Infinity);
  }
  if (typeof value === 'string') ok = within(Array.from(value).length, 'minLength', 'maxLength');
  if (Array.isArray(value)) ok = within(value.length, 'minItems', 'maxItems');
  return ok ? undefined : 'range';
}

function checkMembers(
  value: JsonValue,
  schema: JsonObject,
  budget: Budget,
  depth: number,
): SchemaViolation | undefined {
  if (isJsonObject(value)) return checkProperties(value, schema, budget, depth);
  if (!Array.isArray(value)) return undefined;
  const prefix = own(schema, 'prefixItems');
  const positional = Array.isArray(prefix) ? prefix : [];
  const items = own(schema, 'items');
  for (const [index, member] of value.entries()) {
    const found = check(member, index < positional.length ? positional[index] : items, budget, depth + 1);
    if (found !== undefined) return found;
    if (budget.steps <= 0) return undefined;
  }
  return undefined;
}

function checkProperties(
  value: JsonObject,
  schema: JsonObject,
  budget: Budget,
  depth: number,
): SchemaViolation | undefined {
  const required = own(schema, 'required');
  if (Array.isArray(required)) {
    for (const name of required) if (typeof name === 'string' && !Object.hasOwn(value, name)) return 'missing';
  }
  const declared = own(schema, 'properties');
  const properties = isJsonObject(declared) ? declared : undefined;
  const others = own(schema, 'additionalProperties') ?? undeclaredAllowed(schema, properties);
  for (const [name, member] of Object.entries(value)) {
    const known = properties === undefined ? undefined : own(properties, name);
    const found = check(member, known ?? others, budget, depth + 1);
    if (found !== undefined) return found;
    if (budget.steps <= 0) return undefined;
  }
  return undefined;
}

/** Only a plain list of properties closes the object: combinations and patterns may declare the rest. */
function undeclaredAllowed(schema: JsonObject, properties: JsonObject | undefined): boolean {
  return properties === undefined || openKeywords.some((keyword) => Object.hasOwn(schema, keyword));
}

function checkCombination(
  value: JsonValue,
  schema: JsonObject,
  budget: Budget,
  depth: number,
): SchemaViolation | undefined {
  const fitting = (branches: readonly JsonValue[]): number =>
    branches.filter((branch) => check(value, branch, budget, depth + 1) === undefined).length;
  const all = own(schema, 'allOf');
  if (Array.isArray(all) && fitting(all.map(opened)) < all.length) return 'combination';
  const any = own(schema, 'anyOf');
  if (Array.isArray(any) && any.length > 0 && fitting(any) === 0) return 'combination';
  const one = own(schema, 'oneOf');
  if (Array.isArray(one) && one.length > 0 && fitting(one) === 0) return 'combination';
  return undefined;
}

/** The branches of `allOf` each know only a part of the properties. */
function opened(branch: JsonValue): JsonValue {
  return isJsonObject(branch) && !Object.hasOwn(branch, 'additionalProperties')
    ? { ...branch, additionalProperties: true }
    : branch;
}

/** Follows `#/a/b` within the same document; anything else constrains nothing. */
function resolve(target: string, root: JsonObject): JsonValue | undefined {
  if (!target.startsWith('#')) return undefined;
  let node: JsonValue | undefined = root;
  for (const segment of target.slice(1).split('/').filter(Boolean)) {
    if (!isJsonObject(node)) return undefined;
    node = own(node, segment.replaceAll('~1', '/').replaceAll('~0', '~'));
  }
  return node;
}

function lengthAt(schema: JsonObject, key: string): number {
  const value = own(schema, key);
  return Array.isArray(value) ? value.length : 0;
}

function numberAt(schema: JsonObject, key: string): number | undefined {
  const value = own(schema, key);
  return typeof value === 'number' ? value : undefined;
}

function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

const openKeywords = ['allOf', 'anyOf', 'oneOf', 'patternProperties', '$ref', 'if'] as const;
/** A call with hundreds of arguments stays far below; a schema made to explode ends here, in about a millisecond. */
const maxSteps = 20_000;
const maxDepth = 64;
