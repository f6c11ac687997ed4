import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deepFreeze } from '@lfo/testing/deep-freeze.ts';
import { RequestError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import { responseSite, toolSite, translateParameters, translateResponseSchema } from './schema.ts';

const json = (schema: JsonObject): JsonObject | undefined =>
  translateParameters(deepFreeze(schema), 'json', toolSite(0, 't'));
const native = (schema: JsonObject): JsonObject | undefined =>
  translateParameters(deepFreeze(schema), 'native', toolSite(0, 't'));
const of = (property: JsonObject): JsonObject => ({ type: 'object', properties: { p: property } });

test('properties named like keywords are kept', () => {
  const properties = { title: { type: 'string' }, default: { type: 'number' }, format: { type: 'boolean' } };
  assert.deepEqual(json({ type: 'object', properties }), { type: 'object', properties });
});

test('a property named __proto__ is a property', () => {
  const schema: JsonObject = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}');
  assert.equal(JSON.stringify(json(schema)), JSON.stringify(schema));
});

test('null beside another type is nullable in each dialect', () => {
  const forms: JsonObject[] = [
    { type: ['string', 'null'] },
    { anyOf: [{ type: 'string' }, { type: 'null' }] },
    { type: 'string', nullable: true },
  ];
  for (const form of forms) {
    assert.deepEqual(json(of(form)), of({ type: ['string', 'null'] }));
    assert.deepEqual(native(of(form)), { type: 'OBJECT', properties: { p: { type: 'STRING', nullable: true } } });
  }
});

test('several types become a choice', () => {
  assert.deepEqual(json(of({ type: ['string', 'integer'] })), of({ anyOf: [{ type: 'string' }, { type: 'integer' }] }));
});

test('const becomes an enum; enums hold strings alone, none empty', () => {
  assert.deepEqual(json(of({ const: 'x' })), of({ type: 'string', enum: ['x'] }));
  assert.deepEqual(json(of({ enum: ['a', '', 'b'] })), of({ type: 'string', enum: ['a', 'b'] }));
  assert.deepEqual(json(of({ type: 'string', enum: [1, 'b'] })), of({ type: 'string', enum: ['1', 'b'] }));
  const bounds = { type: 'integer', description: 'One of: 1, 3.', minimum: 1, maximum: 3 };
  assert.deepEqual(json(of({ type: 'integer', enum: [1, 3] })), of(bounds));
});

test('an enum that allows null still does', () => {
  const form = { enum: ['a', null] };
  assert.deepEqual(json(of(form)), of({ anyOf: [{ type: 'string', enum: ['a'] }, { type: 'null' }] }));
});

test('references through $defs, definitions and escaped pointers are followed', () => {
  const city = { type: 'object', properties: { name: { type: 'string' } } };
  for (const [key, ref] of [
    ['$defs', '#/$defs/city~1town'],
    ['definitions', '#/definitions/city~1town'],
    ['definitions', '#/definitions/city%7E1town'],
  ] as const) {
    const schema = { ...of({ $ref: ref }), [key]: { 'city/town': city } };
    const translated = json(schema);
    assert.equal(JSON.stringify(translated).includes('"name"'), true);
    assert.deepEqual(native(schema)?.['properties'], {
      p: { type: 'OBJECT', properties: { name: { type: 'STRING' } } },
    });
  }
});

test('words beside a reference are merged into what it points to', () => {
  const schema = {
    ...of({ $ref: '#/$defs/c', description: 'Where' }),
    $defs: { c: { type: 'string', title: 'City' } },
  };
  assert.deepEqual(json(schema), of({ type: 'string', title: 'City', description: 'Where' }));
});

test('recursion is kept where it is optional and cut where it is required', () => {
  const node = {
    type: 'object',
    properties: { next: { $ref: '#/$defs/node' }, value: { type: 'string' } },
    required: ['value'],
  };
  const translated = json({ ...of({ $ref: '#/$defs/node' }), $defs: { node } });
  assert.deepEqual(translated?.['$defs'], { node });
  const endless = { ...node, required: ['next'] };
  const cut = json({ ...of({ $ref: '#/$defs/node' }), required: ['p'], $defs: { node: endless } });
  assert.doesNotMatch(JSON.stringify(cut), /\$ref/);
  const written = native({ ...of({ $ref: '#/$defs/node' }), $defs: { node } });
  assert.deepEqual(written?.['properties'], {
    p: { type: 'OBJECT', properties: { value: { type: 'STRING' } }, required: ['value'] },
  });
});

test('a bomb of references is a 400, not minutes of work', () => {
  const levels = Array.from({ length: 40 }, (_, level) => [
    `l${level}`,
    { type: 'object', properties: { a: { $ref: `#/$defs/l${level + 1}` }, b: { $ref: `#/$defs/l${level + 1}` } } },
  ]);
  const $defs: JsonObject = { ...Object.fromEntries(levels), l40: { type: 'string' } };
  assert.throws(() => native({ ...of({ $ref: '#/$defs/l0' }), $defs }), RequestError);
  assert.ok(json({ ...of({ $ref: '#/$defs/l0' }), $defs }));
});

test('allOf is merged', () => {
  const base = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] };
  const more = { properties: { b: { type: 'number' } }, required: ['b'] };
  assert.deepEqual(json({ allOf: [{ $ref: '#/$defs/base' }, more], $defs: { base } }), {
    type: 'object',
    properties: { a: { type: 'string' }, b: { type: 'number' } },
    required: ['a', 'b'],
  });
});

test('tools without parameters send none', () => {
  assert.equal(json({}), undefined);
  assert.equal(json({ type: 'object', properties: {}, additionalProperties: false }), undefined);
  assert.equal(native({ type: 'object' }), undefined);
});

test('a choice between objects becomes one object', () => {
  const schema = {
    anyOf: [
      { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } }, required: ['a', 'b'] },
      { type: 'object', properties: { a: { type: 'string' }, c: { type: 'string' } }, required: ['a'] },
    ],
  };
  const translated = json(schema);
  assert.deepEqual(Object.keys(translated?.['properties'] ?? {}), ['a', 'b', 'c']);
  assert.deepEqual(translated?.['required'], ['a']);
});

test('an array always has items', () => {
  assert.deepEqual(json(of({ type: 'array' })), of({ type: 'array', items: {} }));
  assert.match(JSON.stringify(native(of({ type: 'array' }))), /"items":\{"anyOf"/);
});

test('a fault is a 400 that names the tool and the path', () => {
  const broken: [JsonObject, string][] = [
    [of({ type: 'strnig' }), 'properties.p.type'],
    [of({ $ref: '#/$defs/none' }), 'properties.p.$ref'],
    [of({ $ref: 'other.json' }), 'properties.p.$ref'],
    [of({ anyOf: [] }), 'properties.p.anyOf'],
    [{ type: 'object', properties: [] }, 'properties'],
  ];
  for (const [schema, path] of broken) {
    assert.throws(
      () => translateParameters(schema, 'json', toolSite(2, 'find')),
      (error) =>
        error instanceof RequestError &&
        error.param === `tools[2].function.parameters.${path}` &&
        error.message.includes('"find"'),
    );
  }
  assert.throws(() => json({ type: 'string' }), RequestError);
  assert.throws(
    () => translateResponseSchema({ type: 'nothing' }, 'json', responseSite),
    (error) => error instanceof RequestError && error.param === 'response_format.json_schema.schema.type',
  );
});

test('an allOf that leads back to itself is a 400, not a list that doubles without end', { timeout: 5_000 }, () => {
  const endless = { allOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }] };
  for (const translate of [json, native]) {
    assert.throws(() => translate({ ...of(endless), $defs: { a: endless } }), RequestError);
  }
});
