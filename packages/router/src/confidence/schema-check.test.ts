import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import * as fc from 'fast-check';
import type { JsonObject, JsonValue } from '../core/json.ts';
import { schemaViolation } from './schema-check.ts';

const cases: readonly (readonly [name: string, value: JsonValue, schema: JsonObject, expected: string | undefined])[] =
  [
    [
      'a reference within the document',
      { a: 'x' },
      { $defs: { t: { type: 'number' } }, properties: { a: { $ref: '#/$defs/t' } } },
      'type',
    ],
    ['a foreign reference constrains nothing', 1, { $ref: 'other.json' }, undefined],
    ['a closed object', { a: 1, b: 2 }, { properties: { a: {} } }, 'unexpected'],
    ['an object opened on purpose', { b: 2 }, { properties: { a: {} }, additionalProperties: true }, undefined],
    ['an object without declarations', { b: 2 }, { type: 'object' }, undefined],
    ['__proto__ as a mere name', JSON.parse('{"__proto__":1}'), { properties: { a: {} } }, 'unexpected'],
    ['one of several types', null, { type: ['string', 'null'] }, undefined],
    ['no branch of anyOf', true, { anyOf: [{ type: 'string' }, { type: 'number' }] }, 'combination'],
    [
      'parts of allOf each know their own properties',
      { a: 1, b: 1 },
      { allOf: [{ properties: { a: {} } }, { properties: { b: {} } }] },
      undefined,
    ],
    ['too long a string', 'abc', { maxLength: 2 }, 'range'],
    ['a pattern is not evaluated', 'a'.repeat(40), { pattern: '^(a+)+$!' }, undefined],
    ['a type unknown to JSON Schema', 'x', { type: 'dict' }, undefined],
  ];

for (const [name, value, schema, expected] of cases) {
  test(name, () => assert.equal(schemaViolation(value, schema), expected));
}

test('agrees with ajv on random values and schemas', () => {
  const ajv = new Ajv({ strict: false });
  const leaf = fc.oneof(
    fc.constantFrom<JsonObject>({ type: 'string' }, { type: 'integer' }, { type: 'boolean' }, { enum: ['a', 1] }, {}),
    fc.record({ type: fc.constant('number'), minimum: fc.integer({ min: -3, max: 3 }) }),
  );
  const object = fc.record({
    type: fc.constant('object'),
    properties: fc.dictionary(fc.constantFrom('a', 'b', 'c'), leaf),
    required: fc.uniqueArray(fc.constantFrom('a', 'b'), { maxLength: 2 }),
    additionalProperties: fc.boolean(),
  });
  const array = fc.record({ type: fc.constant('array'), items: leaf, maxItems: fc.nat(3) });
  const schemas: fc.Arbitrary<JsonObject> = fc.oneof(
    object,
    array,
    fc.record({ anyOf: fc.array(leaf, { minLength: 1, maxLength: 3 }) }),
  );
  const scalar = fc.constantFrom<JsonValue>('a', 'b', 0, 1, 2.5, -9, true, null);
  const values: fc.Arbitrary<JsonValue> = fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), scalar),
  );
  fc.assert(
    fc.property(schemas, values, (schema, value) => {
      assert.equal(schemaViolation(value, schema) === undefined, ajv.validate(schema, value));
    }),
    { numRuns: 500 },
  );
});

test('a schema made to explode ends within its budget', () => {
  const levels = Array.from({ length: 40 }, (_, index) => {
    const next = { $ref: `#/$defs/l${index + 1}` };
    return [`l${index}`, { allOf: [next, next] }] as const;
  });
  const schema: JsonObject = { $defs: Object.fromEntries(levels), $ref: '#/$defs/l0' };
  assert.equal(schemaViolation({}, schema), undefined);
  assert.equal(schemaViolation({}, { $ref: '#' }), undefined);
});
