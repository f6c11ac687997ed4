import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRequest } from './gemini/check-request.ts';
import { fakeModels } from './gemini/fake-models.ts';
import { signatureFor } from './gemini/fake-signatures.ts';

type Json = Readonly<Record<string, unknown>>;

function complaint(body: Json, name = 'gemini-2.5-flash', takesIds = true): string | undefined {
  const model = fakeModels.find((one) => one.name === name);
  assert.ok(model);
  return checkRequest(body, model, takesIds);
}

const user = { role: 'user', parts: [{ text: 'hi' }] };
const call = (part: Json = {}, inner: Json = {}): Json => ({
  functionCall: { name: 'f', args: {}, ...inner },
  ...part,
});
const result = (inner: Json = {}): Json => ({ functionResponse: { name: 'f', response: {}, ...inner } });
const turns = (calls: readonly Json[], results: readonly Json[]): Json => ({
  contents: [user, { role: 'model', parts: calls }, { role: 'user', parts: results }],
});
const declared = (declaration: Json): Json => ({
  contents: [user],
  tools: [{ functionDeclarations: [{ name: 'f', ...declaration }] }],
});
const json = (property: Json, root: Json = {}): Json =>
  declared({ parametersJsonSchema: { type: 'object', properties: { p: property }, ...root } });
const native = (property: Json): Json => declared({ parameters: { type: 'OBJECT', properties: { p: property } } });
const configured = (generationConfig: Json): Json => ({ contents: [user], generationConfig });
const tools = { tools: [{ functionDeclarations: [{ name: 'f' }] }] };
const answer = { responseMimeType: 'application/json' };

const refused: readonly (readonly [why: string, pattern: RegExp, body: Json, model?: string])[] = [
  ['unknown fields', /Unknown name "store"/, { contents: [user], store: true }],
  ['unknown fields inside', /Unknown name "name"/, { contents: [{ ...user, name: 'x' }] }],
  ['wrong types', /int32 expected/, configured({ seed: 2 ** 40 })],
  ['no contents', /not specified/, { contents: [] }],
  ['a model that begins', /first content/, { contents: [{ role: 'model', parts: [{ text: 'hi' }] }] }],
  ['other roles', /valid role/, { contents: [user, { role: 'assistant', parts: [{ text: 'x' }] }] }],
  ['empty text', /text parameter/, { contents: [{ role: 'user', parts: [{ text: '' }] }] }],
  ['no parts', /must not be empty/, { contents: [{ role: 'user', parts: [] }] }],
  ['two users in a row', /follow each other/, { contents: [user, user] }],
  ['fewer results than calls', /number of function response parts/, turns([call(), call()], [result()])],
  ['words among results', /nothing else/, turns([call()], [result(), { text: 'x' }])],
  ['no results at all', /needs its function responses/, { contents: [user, { role: 'model', parts: [call()] }, user] }],
  [
    'results without calls',
    /after a function call turn/,
    { contents: [user, { role: 'model', parts: [{ text: 'x' }] }, { role: 'user', parts: [result()] }] },
  ],
  [
    'results in another order',
    /name of a function response/,
    turns([call(), call({}, { name: 'g' })], [result({ name: 'g' }), result()]),
  ],
  ["an id that is not the call's", /id of a function response/, turns([call({}, { id: 'a' })], [result({ id: 'b' })])],
  ['a result that is no object', /struct expected/, turns([call()], [result({ response: 'done' })])],
  ['a missing signature', /missing a thought_signature/, turns([call()], [result()]), 'gemini-3-pro-preview'],
  ["another call's signature", /not valid/, turns([call({ thoughtSignature: signatureFor('g', {}) })], [result()])],
  ['names out of the alphabet', /Invalid function name/, declared({ name: 'get weather' })],
  ['names too long', /Invalid function name/, declared({ name: 'f'.repeat(65) })],
  ['both schemas', /exclude each other/, declared({ parameters: {}, parametersJsonSchema: {} })],
  ['JSON schemas on old models', /not supported/, json({ type: 'string' }), 'gemini-2.0-flash'],
  ['unknown keywords', /unknown keyword const/, json({ const: 'x' })],
  ['enums of numbers', /only allowed for strings/, json({ type: 'integer', enum: [1] })],
  ['empty enum members', /none empty/, json({ type: 'string', enum: [''] })],
  ['words beside $ref', /beside \$ref/, json({ $ref: '#/$defs/a', title: 'x' }, { $defs: { a: {} } })],
  [
    'a cycle that is required',
    /cyclic/,
    json(
      { $ref: '#/$defs/a' },
      { $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] } } },
    ),
  ],
  ['required without a property', /not defined/, json({ type: 'string' }, { required: ['q'] })],
  ['native lower-case types', /one of STRING/, native({ type: 'string' })],
  ['native $ref', /Unknown name "\$ref"/, native({ $ref: '#' })],
  ['native arrays without items', /missing field/, native({ type: 'ARRAY' })],
  ['native objects without properties', /non-empty/, native({ type: 'OBJECT' })],
  ['native anyOf with company', /only field/, native({ type: 'STRING', anyOf: [{ type: 'STRING' }] })],
  [
    'toolConfig without tools',
    /without function_declarations/,
    { contents: [user], toolConfig: { functionCallingConfig: { mode: 'ANY' } } },
  ],
  [
    'allowed names not declared',
    /not declared/,
    { ...declared({}), toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['g'] } } },
  ],
  ['budget and level', /together/, configured({ thinkingConfig: { thinkingBudget: 1, thinkingLevel: 'LOW' } })],
  ['a level on 2.5', /level is not supported/, configured({ thinkingConfig: { thinkingLevel: 'LOW' } })],
  [
    'a budget on 3',
    /budget is not supported/,
    configured({ thinkingConfig: { thinkingBudget: 100 } }),
    'gemini-3-pro-preview',
  ],
  [
    'no thinking on Pro',
    /only works in thinking mode/,
    configured({ thinkingConfig: { thinkingBudget: 0 } }),
    'gemini-2.5-pro',
  ],
  [
    'thinking on 2.0',
    /Thinking is not supported/,
    configured({ thinkingConfig: { thinkingBudget: 100 } }),
    'gemini-2.0-flash',
  ],
  ['six stops', /5 stop sequences/, configured({ stopSequences: ['1', '2', '3', '4', '5', '6'] })],
  ['penalties', /Penalty is not enabled/, configured({ presencePenalty: 1 })],
  ['logprobs on 3', /Logprobs is not enabled/, configured({ responseLogprobs: true }), 'gemini-3-pro-preview'],
  ['tools with JSON before 3', /mime type/, { ...configured(answer), ...tools }],
  ['a schema without its type', /needs the mime type/, configured({ responseJsonSchema: { type: 'object' } })],
  ['lone surrogates', /string expected/, { contents: [{ role: 'user', parts: [{ text: '\ud800' }] }] }],
];

for (const [why, pattern, body, model] of refused) {
  test(`the fake refuses ${why}`, () => assert.match(complaint(body, model) ?? 'it was accepted', pattern));
}

const accepted: readonly (readonly [what: string, body: Json, model?: string])[] = [
  [
    'a signed call',
    turns([call({ thoughtSignature: signatureFor('f', {}) }), call()], [result(), result()]),
    'gemini-3-pro-preview',
  ],
  [
    'the sentinel',
    turns([call({ thoughtSignature: 'skip_thought_signature_validator' })], [result()]),
    'gemini-3-pro-preview',
  ],
  ['words after results', { contents: [...[turns([call()], [result()])['contents']].flat(), user] }],
  ['tools with JSON on 3', { ...configured(answer), ...tools }, 'gemini-3-pro-preview'],
  [
    'a cycle that is optional',
    json({ $ref: '#/$defs/a' }, { $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } } } } }),
  ],
];

for (const [what, body, model] of accepted) {
  test(`the fake takes ${what}`, () => assert.equal(complaint(body, model), undefined));
}

test('the fake refuses ids where it plays Vertex AI', () => {
  const body = turns([call({}, { id: 'a' })], [result({ id: 'a' })]);
  assert.equal(complaint(body), undefined);
  assert.match(complaint(body, 'gemini-2.5-flash', false) ?? '', /"id"/);
});
