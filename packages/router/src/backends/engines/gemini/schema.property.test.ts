import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deepFreeze } from '@lfo/testing/deep-freeze.ts';
import { checkFields } from '@lfo/testing/gemini/check-fields.ts';
import { checkJsonSchema, checkNativeSchema } from '@lfo/testing/gemini/check-schema.ts';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import { RequestError } from '../../../core/errors.ts';
import { isJsonObject, type JsonObject } from '../../../core/json.ts';
import { type SchemaDialect, toolSite, translateParameters, translateResponseSchema } from './schema.ts';

const names = fc.constantFrom('a', 'b', 'title', 'default', 'format', '__proto__', 'type', 'x y', 'é');
const types = fc.constantFrom('string', 'number', 'integer', 'boolean', 'null', 'array', 'object', 'STRING');
const refs = fc.constantFrom('#', '#/$defs/a', '#/$defs/b', '#/definitions/a', '#/$defs/x%20y', '#/properties/a');
const scalars = fc.oneof(fc.string({ maxLength: 4 }), fc.integer(), fc.double(), fc.boolean(), fc.constant(null));

/** A keyword with a value that mostly suits it. */
function keyword(name: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<[string, unknown]> {
  return value.map((inner): [string, unknown] => [name, inner]);
}

const words = fc.oneof(
  keyword('required', fc.array(names, { maxLength: 3 })),
  keyword('enum', fc.array(scalars, { maxLength: 3 })),
  keyword('const', scalars),
  keyword('nullable', fc.boolean()),
  keyword('title', scalars),
  keyword('description', scalars),
  keyword('format', fc.constantFrom('date-time', 'email', 'int32', '')),
  keyword('pattern', fc.string({ maxLength: 5 })),
  keyword('minimum', scalars),
  keyword('exclusiveMaximum', scalars),
  keyword('minLength', scalars),
  keyword('maxItems', scalars),
  keyword('default', scalars),
  keyword('multipleOf', fc.integer()),
  keyword('$schema', fc.constant('https://json-schema.org/draft/2020-12/schema')),
);

const odd = fc.oneof(
  keyword('type', fc.oneof(fc.integer(), fc.constant('nonsense'))),
  keyword('properties', scalars),
  keyword('anyOf', fc.constant([])),
  keyword('$ref', fc.constantFrom('#/nowhere', 'b.json', '#/%')),
);

const type = keyword('type', fc.oneof(types, fc.array(types, { minLength: 1, maxLength: 3 })));
const reference = keyword('$ref', refs);

function shallow(inner: fc.Arbitrary<unknown>): fc.Arbitrary<[string, unknown]> {
  const members = fc.dictionary(names, inner, { maxKeys: 3 });
  return fc.oneof(
    { weight: 4, arbitrary: keyword('properties', members) },
    keyword('items', fc.oneof(inner, fc.array(inner, { maxLength: 2 }))),
    keyword('prefixItems', fc.array(inner, { maxLength: 2 })),
    keyword('additionalProperties', inner),
    keyword('patternProperties', members),
    keyword('anyOf', fc.array(inner, { minLength: 1, maxLength: 3 })),
    keyword('oneOf', fc.array(inner, { minLength: 1, maxLength: 3 })),
    keyword('allOf', fc.array(inner, { maxLength: 2 })),
    keyword('not', inner),
  );
}

function schemas(depth: number): fc.Arbitrary<object> {
  const inner =
    depth === 0
      ? fc.boolean()
      : fc.oneof({ weight: 1, arbitrary: fc.boolean() }, { weight: 9, arbitrary: schemas(depth - 1) });
  const entry = fc.oneof(
    { weight: 30, arbitrary: words },
    { weight: 30, arbitrary: type },
    { weight: 30, arbitrary: shallow(inner) },
    { weight: 10, arbitrary: reference },
    { weight: 1, arbitrary: odd },
  );
  return fc.array(entry, { maxLength: 4 }).map((entries) => Object.fromEntries(entries));
}

const definitions = fc.dictionary(fc.constantFrom('a', 'b', 'x y'), schemas(2), { minKeys: 3, maxKeys: 3 });

const schema = fc
  .tuple(schemas(3), fc.dictionary(names, schemas(2), { minKeys: 1, maxKeys: 4 }), definitions)
  .map(([root, properties, $defs]) =>
    Object.assign(root, { properties: { a: {}, ...properties }, $defs, definitions: $defs }),
  );

for (const dialect of ['json', 'native'] as const) {
  test(`any schema becomes ${dialect} parameters Gemini takes, or a 400 that names the tool and the path`, () => {
    let translated = 0;
    fc.assert(
      fc.property(schema, (value) => {
        const source: JsonObject = deepFreeze(JSON.parse(JSON.stringify({ ...value, type: 'object' })));
        const result = attempt(() => translateParameters(source, dialect, toolSite(3, 'my_tool')));
        if (result instanceof RequestError) {
          assert.match(result.param ?? '', /^tools\[3\]\.function\.parameters/);
          assert.match(result.message, /my_tool/);
          assert.equal(result.status, 400);
        } else if (result !== undefined) {
          translated++;
          assert.equal(complaint(result, dialect), undefined, JSON.stringify(result));
        }
      }),
      { numRuns: scaled({ always: 1_000, full: 50_000 }) },
    );
    assert.ok(translated > 200, `only ${translated} schemas could be translated`);
  });

  test(`any schema becomes a ${dialect} answer schema Gemini takes, or a 400 that names the path`, () => {
    fc.assert(
      fc.property(schema, (value) => {
        const source: JsonObject = deepFreeze(JSON.parse(JSON.stringify(value)));
        const result = attempt(() => translateResponseSchema(source, dialect, toolSite(0, 'answer')));
        if (result !== undefined && !(result instanceof RequestError)) {
          assert.equal(complaint(result, dialect), undefined, JSON.stringify(result));
        }
      }),
      { numRuns: scaled({ always: 1_000, full: 50_000 }) },
    );
  });
}

function attempt(translate: () => JsonObject | undefined): JsonObject | RequestError | undefined {
  try {
    return translate();
  } catch (error) {
    assert.ok(error instanceof RequestError, String(error));
    return error;
  }
}

function complaint(result: JsonObject, dialect: SchemaDialect): string | undefined {
  // What is sent is the text, not the object.
  const sent: unknown = JSON.parse(JSON.stringify(result));
  assert.ok(isJsonObject(sent));
  if (dialect === 'json') return checkJsonSchema(sent, 'schema');
  return checkFields(sent, 'Schema', 'schema') ?? checkNativeSchema(sent, 'schema');
}
