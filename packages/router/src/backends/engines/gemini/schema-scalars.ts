import type { JsonObject, JsonValue } from '../../../core/json.ts';
import type { NumberNode, StringNode } from './schema-node.ts';

type Fault = (keyword: string, what: string) => Error;

/** Formats Gemini knows; the others are told in words. */
const stringFormats: ReadonlySet<string> = new Set(['date-time', 'date', 'time']);

/** Reads the keywords of a string. Members of an enum that are no strings are written as such. */
export function readString(schema: JsonObject, fault: Fault): StringNode {
  const values = allowedValues(schema, fault)
    .filter((value) => value !== null && typeof value !== 'object')
    .map(String)
    .filter((value) => value !== '');
  const { format, pattern, minLength, maxLength } = schema;
  const isKnownFormat = typeof format === 'string' && stringFormats.has(format);
  return {
    type: 'string',
    ...(values.length === 0 ? {} : { enum: [...new Set(values)] }),
    ...(isKnownFormat ? { format } : {}),
    ...(typeof format === 'string' && !isKnownFormat && format !== '' ? { description: `Format: ${format}.` } : {}),
    ...(typeof pattern === 'string' ? { pattern } : {}),
    ...(isSize(minLength) ? { minLength } : {}),
    ...(isSize(maxLength) ? { maxLength } : {}),
  };
}

/** Reads the keywords of a number. Enums hold strings only at Gemini: the values become bounds and words. */
export function readNumber(schema: JsonObject, type: NumberNode['type'], fault: Fault): NumberNode {
  const values = allowedValues(schema, fault).filter((value) => typeof value === 'number');
  const step = type === 'integer' ? 1 : 0;
  const low = [schema['minimum'], plus(schema['exclusiveMinimum'], step), ...lowest(values)].filter(isFiniteNumber);
  const high = [schema['maximum'], plus(schema['exclusiveMaximum'], -step), ...highest(values)].filter(isFiniteNumber);
  return {
    type,
    ...(values.length === 0 ? {} : { description: `One of: ${values.join(', ')}.` }),
    ...(low.length === 0 ? {} : { minimum: Math.max(...low) }),
    ...(high.length === 0 ? {} : { maximum: Math.min(...high) }),
  };
}

function allowedValues(schema: JsonObject, fault: Fault): readonly JsonValue[] {
  const { enum: values, const: only } = schema;
  if (only !== undefined) return [only];
  if (values === undefined) return [];
  if (Array.isArray(values)) return values;
  throw fault('enum', 'must be an array');
}

function lowest(values: readonly number[]): number[] {
  return values.length === 0 ? [] : [values.reduce((a, b) => Math.min(a, b))];
}

function highest(values: readonly number[]): number[] {
  return values.length === 0 ? [] : [values.reduce((a, b) => Math.max(a, b))];
}

/** Draft 4 wrote a boolean here; it says nothing by itself. */
function plus(bound: JsonValue | undefined, step: number): number | undefined {
  return typeof bound === 'number' ? bound + step : undefined;
}

function isFiniteNumber(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isSize(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
