import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaled } from '@lfo/testing/test-scale.ts';
import * as fc from 'fast-check';
import { parseBody } from '../../server/json-scan.ts';
import { requestBody, splicedText, type WireStyle } from '../../backends/engines/openai-compatible/request.ts';
import { chatBodySchema } from './chat-body.ts';
import { readPlainBody } from './plain-body.ts';
import { toChatRequest } from './to-chat-request.ts';

const limits = { messages: 20, tools: 8 };
const schema = chatBodySchema(limits);
const context = {
  id: 'i',
  model: 'm',
  hints: { mode: 'auto' },
  bodyBytes: 7,
  fetchImages: false,
  canonicalHead: (text: string) => text,
} as const;

function plainOf(text: string) {
  const { value, text: whole } = parseBody(Buffer.from(text), { depth: 100, values: 65_536 });
  return { value, plain: readPlainBody(value, whole, limits) };
}

/** What the schema makes of it; `undefined` where it refuses. */
function slowly(value: unknown) {
  const parsed = schema.safeParse(value);
  if (!parsed.success) return undefined;
  try {
    return toChatRequest(parsed.data, { ...context, warnings: new Map() });
  } catch {
    return undefined;
  }
}

/** Holds the promise of the plain form for one text; answers whether it was plain. */
function assertSame(text: string): boolean {
  const { value, plain } = plainOf(text);
  if (plain === undefined) return false;
  const slow = slowly(value);
  assert.ok(slow !== undefined, `plain, and refused by the schema: ${text}`);
  const { model: _, source, ...read } = plain;
  const fast = { ...context, fetchImages: undefined, ...read, legacyFunctions: false };
  assert.deepEqual(JSON.parse(JSON.stringify(fast)), JSON.parse(JSON.stringify(slow)));
  for (const maxTokensField of ['max_tokens', 'max_completion_tokens'] as const) {
    const style: WireStyle = {
      stream: plain.stream,
      scores: false,
      maxTokensField,
      dialect: 'standard',
      jsonSchema: true,
    };
    const spliced = splicedText({ ...slow, source }, 'other "model"', style);
    const call = { model: 'other "model"', warn: (param: string) => assert.fail(`${param} is not honoured`) };
    const written = requestBody(slow, call, style);
    if (spliced !== undefined) assert.deepEqual(JSON.parse(spliced), JSON.parse(JSON.stringify(written)));
    else assert.notEqual(source.tokensField, maxTokensField);
  }
  return true;
}

const word = fc.constantFrom(
  '',
  'a',
  'hello',
  'ü€😀',
  'say "model":"x"',
  ',"model":"x"}',
  '\\',
  '"',
  '\\"',
  '\n',
  '":',
  'pattern',
);
const text = fc.array(word, { maxLength: 4 }).map((words) => words.join(' '));
const odd = fc.constantFrom<unknown>(null, 0, -0, '', [], {}, true, { type: 'text' }, 1e300, ['x']);
const json = fc.constantFrom('{}', '{"a":1}', ' ', 'no json', '{"model":"x"}');

const property = fc.constantFrom<object>(
  { type: 'string' },
  { type: 'string', pattern: 'a+' },
  { type: 'object', properties: { model: { type: 'string', default: 'x' } } },
  { enum: ['a', 1, null, { model: 'x' }] },
  { patternProperties: { a: {} } },
);
const tool = fc.record(
  {
    type: fc.constantFrom('function', 'function', 'function', 'function', 'custom'),
    function: fc.record(
      {
        name: fc.constantFrom('f', 'f', 'f', 'get_it', 'with space', ''),
        description: fc.oneof({ weight: 9, arbitrary: text }, odd),
        parameters: fc.oneof(
          { weight: 9, arbitrary: fc.record({ type: fc.constant('object'), properties: fc.record({ a: property }) }) },
          odd,
        ),
        strict: fc.oneof({ weight: 9, arbitrary: fc.boolean() }, odd),
      },
      { requiredKeys: ['name'], noNullPrototype: true },
    ),
  },
  { requiredKeys: ['type', 'function'] },
);
const call = fc.record({
  id: fc.constantFrom('c1', 'c2', ''),
  type: fc.constantFrom('function', 'function', 'function', 'custom'),
  function: fc.record({ name: fc.constantFrom('f', 'f', ''), arguments: json }),
});
const message = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ role: fc.constantFrom('system', 'user', 'assistant', 'developer'), content: text }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      role: fc.constant('assistant'),
      content: fc.constantFrom(null, '', 'so'),
      tool_calls: fc.array(call, { maxLength: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ role: fc.constant('tool'), tool_call_id: fc.constantFrom('c1', 'c2'), content: text }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ role: fc.constant('user'), content: fc.constant([{ type: 'text', text: 'part' }]) }),
  },
  fc.record({ role: fc.constant('user'), content: text, name: text }),
  fc.record({ role: fc.constantFrom('user', 'assistant', 'tool', 'function', 'x'), content: odd }),
);
const optional = {
  tools: fc.array(tool, { maxLength: 3 }),
  tool_choice: fc.constantFrom('auto', 'none', 'required'),
  parallel_tool_calls: fc.boolean(),
  temperature: fc.constantFrom(0, 0.7, 1, 2, 2, 3, -0),
  top_p: fc.constantFrom(0.5, 0.9, 1, 2),
  seed: fc.constantFrom(1, 7, -5, 1.5, 2 ** 60),
  frequency_penalty: fc.constantFrom(0, -2, 5),
  presence_penalty: fc.constantFrom(0.1, 2),
  max_tokens: fc.constantFrom(1, 100, 4096, 0, 1.5),
  max_completion_tokens: fc.constantFrom(5, 2 ** 31),
  stop: fc.constantFrom<unknown>(['a'], ['b', '"'], ['a', ''], [], 'a'),
  stream: fc.boolean(),
  stream_options: fc.constantFrom<unknown>({ include_usage: true }, { include_usage: false }, {}, null),
  response_format: fc.constantFrom<unknown>(
    { type: 'text' },
    { type: 'json_object' },
    { type: 'json_schema', json_schema: { name: 'n' } },
  ),
  user: text,
  n: fc.constantFrom(1, 2),
  metadata: fc.constant({ a: 'b' }),
  logprobs: fc.boolean(),
  unknown: odd,
};

const ordinary = ['tools', 'temperature', 'top_p', 'seed', 'max_tokens', 'stop', 'stream', 'response_format'];

/** Bodies as clients write them: any order of members, with and without white space, members that come twice. */
const body = fc
  .record({
    messages: fc.array(message, { minLength: 1, maxLength: 4 }),
    model: fc.constantFrom<unknown>('gpt', 'gpt', 'gpt', 'lfo-auto', 'a"b', null),
    chosen: fc.oneof(
      { weight: 3, arbitrary: fc.subarray(ordinary, { maxLength: 4 }) },
      fc.subarray(Object.keys(optional), { maxLength: 4 }),
    ),
    values: fc.record(optional),
    first: fc.boolean(),
    indent: fc.constantFrom(0, 0, 0, 2),
    twice: fc.constantFrom('', '', '', '', '', '', '"model":"b",', '"messages":[],', '"temperature": 1,'),
  })
  .map(({ messages, model, chosen, values, first, indent, twice }) => {
    const rest = chosen.map((name) => [name, Object.entries(values).find(([key]) => key === name)?.[1]] as const);
    const own = [['messages', messages] as const, ...rest];
    const members = first ? [['model', model] as const, ...own] : [...own, ['model', model] as const];
    const written = JSON.stringify(Object.fromEntries(members), null, indent);
    return twice === '' ? written : written.replace('{', `{${twice}`);
  });

test('what is plain the schema accepts, and the body that is spliced says what would be written', () => {
  let plain = 0;
  fc.assert(
    fc.property(body, (one) => {
      if (assertSame(one)) plain++;
    }),
    { numRuns: scaled({ always: 2_000, full: 100_000 }), seed: 83 },
  );
  assert.ok(plain > 30, `${plain} were plain`);
});

/** What agents send in mid-task, nothing odd about it. */
const sound = fc
  .record(
    {
      model: fc.constantFrom('gpt', 'lfo-local'),
      messages: fc
        .array(fc.tuple(text, text, fc.constantFrom('{}', '{"model":"x"}'), fc.constantFrom(null, '', 'so')), {
          minLength: 1,
          maxLength: 5,
        })
        .map((steps) =>
          steps.flatMap(([asked, result, args, said], at) => [
            { role: at === 0 ? 'system' : 'user', content: asked },
            {
              role: 'assistant',
              content: said,
              tool_calls: [{ id: `c${at}`, type: 'function', function: { name: 'f', arguments: args } }],
            },
            { role: 'tool', tool_call_id: `c${at}`, content: result },
          ]),
        ),
      tools: fc.constant([
        {
          type: 'function',
          function: { name: 'f', parameters: { type: 'object', properties: { a: { enum: ['":', 1] } } } },
        },
      ]),
      tool_choice: fc.constant('auto'),
      temperature: fc.constantFrom(0, 0.2, 1),
      max_tokens: fc.constantFrom(1, 4096),
      stop: fc.constantFrom(['a'], ['"', ',']),
      stream: fc.constant(true),
      response_format: fc.constant({ type: 'json_object' }),
    },
    { requiredKeys: ['model', 'messages', 'tools'] },
  )
  .chain((fields) =>
    fc.tuple(
      fc.shuffledSubarray(Object.entries(fields), { minLength: Object.keys(fields).length }),
      fc.constantFrom(0, 2),
    ),
  )
  .map(([members, indent]) => JSON.stringify(Object.fromEntries(members), null, indent));

test('what agents send is plain, whatever the order of its members', () => {
  let plain = 0;
  const numRuns = scaled({ always: 2_000, full: 100_000 });
  fc.assert(
    fc.property(sound, (one) => {
      if (assertSame(one)) plain++;
    }),
    { numRuns, seed: 89 },
  );
  // A model between two nested members is not looked for.
  assert.ok(plain > numRuns / 4, `${plain} were plain`);
});

for (const [name, text] of [
  ['a short question', '{"model":"m","messages":[{"role":"user","content":"Hi"}]}'],
  ['a model at the end', '{"messages":[{"role":"user","content":"Hi"}],"stream":true,"model":"m"}'],
  [
    'white space',
    '{ "model": "m", "messages": [ { "role": "user", "content": "a: \\"b\\": c" } ], "temperature": 1.0 }',
  ],
  [
    'a tool loop',
    '{"model":"m","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\\"a\\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"ok"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto","max_tokens":5}',
  ],
] as const) {
  test(`${name} is plain`, () => assert.ok(assertSame(text)));
}

for (const [name, text] of [
  [
    'a key twice',
    '{"model":"m","messages":[{"role":"user","content":"Hi"}],"messages":[{"role":"user","content":"Ho"}]}',
  ],
  ['an inner key twice', '{"model":"m","messages":[{"role":"user","content":"Hi","content":"Ho"}]}'],
  [
    'a key twice, of which one is followed by white space',
    '{"model":"m","messages":[{"role" :"user","content" :"Hi","secret" :1}],"messages" :[{"role":"user","content":"Ho"}]}',
  ],
  [
    'a key twice, and another that ends in a backslash',
    '{"model":"m","temperature":0,"temperature":1,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"a\\\\":1}}}]}',
  ],
  [
    'a key twice, and another that ends in a backslash and white space',
    '{"model":"m","temperature":0,"temperature":1,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"a\\\\" :1}}}]}',
  ],
  ['an unknown field', '{"model":"m","messages":[{"role":"user","content":"Hi"}],"secret":1}'],
  ['an unknown field of a message', '{"model":"m","messages":[{"role":"user","content":"Hi","secret":1}]}'],
  ['half a character', '{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}'],
  ['a result without its call', '{"model":"m","messages":[{"role":"tool","tool_call_id":"1","content":"ok"}]}'],
] as const) {
  test(`${name} is not plain`, () => assert.equal(plainOf(text).plain, undefined));
}

test('an integer that is written as a fraction or with an exponent goes on as an integer, so it is not plain', () => {
  const body = (more: string): string =>
    `{"model":"m","messages":[{"role":"user","content":"\\"seed\\":1.5"}],${more}}`;
  for (const more of ['"max_tokens":100', '"seed": -7', '"max_completion_tokens":\n5 ,"seed":0'])
    assert.ok(assertSame(body(more)), more);
  for (const more of ['"max_tokens":100.0', '"max_tokens":1e2', '"seed": 7.0', '"seed":70E-1'])
    assert.equal(plainOf(body(more)).plain, undefined, more);
});
