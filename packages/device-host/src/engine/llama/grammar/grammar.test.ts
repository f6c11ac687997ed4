import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineError, type EngineRequest } from '@lfo/device-core';
import { answerGrammar } from './grammar.ts';
import { SchemaGrammar } from './schema-grammar.ts';

const weather = {
  name: 'get_weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

function ask(more: Partial<EngineRequest>): Pick<EngineRequest, 'tools' | 'toolChoice' | 'responseFormat'> {
  return { tools: [], ...more };
}

function schema(body: Readonly<Record<string, unknown>>): ReturnType<typeof answerGrammar> {
  return answerGrammar(ask({ responseFormat: { type: 'json_schema', schema: body } }), true);
}

function refuses(body: Readonly<Record<string, unknown>>): void {
  assert.throws(
    () => schema(body),
    (error) => error instanceof EngineError && error.code === 'bad_request',
  );
}

function isExact(body: Readonly<Record<string, unknown>>): boolean {
  const grammar = new SchemaGrammar();
  grammar.add(body);
  return grammar.isExact;
}

test('a request that leaves the model free has no grammar', () => {
  assert.equal(answerGrammar(ask({ tools: [weather], toolChoice: 'auto' }), true), undefined);
  assert.equal(
    answerGrammar(ask({ tools: [weather], toolChoice: 'none', responseFormat: { type: 'text' } }), true),
    undefined,
  );
});

test('required offers every tool, a named choice that tool once', () => {
  const other = { name: 'set_timer' };
  const required = answerGrammar(ask({ tools: [weather, other], toolChoice: 'required' }), true)?.gbnf ?? '';
  assert.ok(required.includes('get_weather') && required.includes('set_timer') && required.includes('{0,7}'));
  const named = answerGrammar(ask({ tools: [weather, other], toolChoice: { name: 'set_timer' } }), false)?.gbnf ?? '';
  assert.ok(!named.includes('get_weather') && named.includes('set_timer') && !named.includes('<tool_call>'));
});

test('a choice without its tool is a bad request', () => {
  for (const toolChoice of ['required' as const, { name: 'missing' }]) {
    assert.throws(
      () => answerGrammar(ask({ tools: [], toolChoice }), true),
      (error) => error instanceof EngineError && error.code === 'bad_request',
    );
  }
});

test('what a grammar can say needs no check afterwards', () => {
  for (const body of [
    {
      type: 'object',
      properties: { a: { type: 'string', maxLength: 5 }, b: { type: ['integer', 'null'] } },
      required: ['a'],
      title: 'T',
    },
    { anyOf: [{ type: 'string' }, { const: 3 }] },
    { allOf: [{ properties: { a: true } }, { properties: { b: { enum: [1, 2] } }, required: ['b'] }] },
    { $ref: '#/$defs/n', $defs: { n: { type: 'array', items: { $ref: '#/$defs/n' }, maxItems: 3 } } },
  ]) {
    assert.equal(isExact(body), true, JSON.stringify(body));
  }
});

test('what a grammar cannot say is checked afterwards, never dropped', () => {
  const cases: ReadonlyArray<[Readonly<Record<string, unknown>>, unknown, unknown]> = [
    [{ type: 'string', pattern: '^a+$' }, 'aa', 'b'],
    [{ type: 'integer', minimum: 3 }, 3, 2],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 1.5, 1],
    [{ type: 'array', uniqueItems: true }, [1, 2], [1, 1]],
    [
      { type: 'object', properties: { a: true }, patternProperties: { '^x': { type: 'string' } } },
      { x1: 'a' },
      { x1: 1 },
    ],
    [{ not: { type: 'string' } }, 1, 'a'],
    [{ allOf: [{ type: 'string' }, { type: ['string', 'null'] }] }, 'a', null],
    [{ type: 'string', minLength: 5000 }, 'a'.repeat(5000), 'a'],
  ];
  for (const [body, good, bad] of cases) {
    const isValid = schema(body)?.isValidText;
    assert.ok(isValid !== undefined, JSON.stringify(body));
    assert.equal(isValid(good), true, JSON.stringify(body));
    assert.equal(isValid(bad), false, JSON.stringify(body));
  }
});

test('a pattern that backtracks for ever is cut off and counts as not matched', () => {
  assert.equal(schema({ type: 'string', pattern: '^(a+)+$' })?.isValidText?.(`${'a'.repeat(60)}b`), false);
});

test('schemas too big, too deep or with dangling references are refused', () => {
  let deep: Readonly<Record<string, unknown>> = { type: 'string' };
  for (let depth = 0; depth < 40; depth += 1) deep = { items: deep };
  refuses(deep);
  refuses({ enum: Array.from({ length: 5000 }, (_, index) => index) });
  refuses({ description: 'x'.repeat(70_000) });
  refuses({ $ref: '#/$defs/missing' });
  refuses({ properties: { a: { type: 'no such type', pattern: 'x' } } });
});

/** `levels` schemas, each offering the next one twice and adding to it. */
function nested(levels: number, level: (at: number) => Record<string, unknown> = () => ({})): Record<string, unknown> {
  const definitions = Array.from({ length: levels }, (_, at): [string, unknown] => {
    const next = { $ref: `#/$defs/s${at + 1}` };
    return [`s${at}`, { type: 'object', ...level(at), anyOf: [next, { ...next, description: 'again' }] }];
  });
  const last = { type: 'object', properties: { end: { type: 'string' } } };
  return { $ref: '#/$defs/s0', $defs: { ...Object.fromEntries(definitions), [`s${levels}`]: last } };
}

test('nested choices that lead to the same schemas are written once', () => {
  const [small, large] = [13, 30].map((levels) => schema(nested(levels))?.gbnf ?? '');
  assert.ok(small !== undefined && small.length < 4000, `${small?.length} characters`);
  assert.ok(large !== undefined && large.length < 8000, `${large?.length} characters`);
});

test('choices whose product is too large become any object, which is validated in bounded time', () => {
  const choice = (at: number, name: string): Record<string, unknown> => ({
    properties: { [`${name}${at}`]: { type: 'integer' } },
    required: [`${name}${at}`],
    ...(at === 24 ? {} : { anyOf: [{ $ref: `#/$defs/s${at + 1}` }] }),
  });
  const definitions = Array.from({ length: 25 }, (_, at): [string, unknown] => [
    `s${at}`,
    { type: 'object', anyOf: [choice(at, 'a'), choice(at, 'b')] },
  ]);
  const started = performance.now();
  const grammar = schema({ $ref: '#/$defs/s0', $defs: Object.fromEntries(definitions) });
  assert.ok(grammar !== undefined && grammar.gbnf.length < 8000, `${grammar?.gbnf.length} characters`);
  const good = Object.fromEntries(Array.from({ length: 25 }, (_, at) => [`a${at}`, at]));
  grammar.isValidText?.(good);
  assert.equal(grammar.isValidText?.({ ...good, a7: 'x' }), false);
  assert.ok(performance.now() - started < 5000);
});

test('choices that contradict what they are choices of cost no more than the others', () => {
  const contradicting = { anyOf: Array.from({ length: 900 }, (_, at) => ({ x: at })) };
  const definitions = Array.from({ length: 60 }, (_, at): [string, unknown] => [
    `s${at}`,
    { minProperties: at, allOf: [{ $ref: '#/$defs/all' }] },
  ]);
  const grammar = schema({
    type: 'object',
    x: Array.from({ length: 900 }, (_, at) => at * 1_234_567),
    anyOf: definitions.map(([name]) => ({ $ref: `#/$defs/${name}` })),
    $defs: { all: contradicting, ...Object.fromEntries(definitions) },
  });
  // Beyond what may be compared it is any object, and is validated.
  assert.match(grammar?.gbnf ?? '', /^root ::= object$/m);
  assert.ok(grammar?.isValidText !== undefined);
});

test('a schema that contains itself in a choice is written, not followed for ever', () => {
  const self = { type: 'object', properties: { a: { type: 'string' } }, anyOf: [{ $ref: '#' }, { required: ['a'] }] };
  assert.ok((schema(self)?.gbnf.length ?? Infinity) < 4000);
  assert.equal(isExact({ $ref: '#' }), false);
  assert.equal(isExact({ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }), false);
  const tree = { type: 'object', properties: { child: { anyOf: [{ $ref: '#' }, { type: 'null' }] } } };
  assert.equal(isExact(tree), true);
});

test('a list of values too long to be offered token by token is validated', () => {
  const isValid = schema({ enum: Array.from({ length: 300 }, (_, at) => `value ${at}`) })?.isValidText;
  assert.equal(isValid?.('value 299'), true);
  assert.equal(isValid?.('value 300'), false);
});

test('what no grammar may say any more is left to the checks, tool arguments too', () => {
  const format = { type: 'json_schema' as const, schema: weather.parameters };
  const text = answerGrammar(ask({ responseFormat: format }), true, true);
  assert.ok(text !== undefined && !text.gbnf.includes('city'));
  assert.equal(text.isValidText?.({ city: 'Bern' }), true);
  assert.equal(text.isValidText?.({}), false);
  const call = answerGrammar(ask({ tools: [weather], toolChoice: 'required' }), true, true);
  assert.ok(call?.gbnf.includes('get_weather') === true && !call.gbnf.includes('city'));
  assert.equal(call.isValidCall?.('get_weather', {}), false);
});

test('thousands of texts against one pattern cost little, and one that explodes ends the check', () => {
  const isValid = schema({ type: 'array', items: { type: 'string', pattern: '^(a+)+$' } })?.isValidText;
  const started = performance.now();
  assert.equal(isValid?.(Array.from({ length: 5000 }, () => 'aaa')), true);
  assert.equal(isValid?.(Array.from({ length: 100 }, () => `${'a'.repeat(60)}b`)), false);
  assert.ok(performance.now() - started < 5000);
});
