import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ToolCallParser, type ParsedPart } from './tool-call-parser.ts';

const tools = ['get_weather', 'set_timer'];

function parse(pieces: readonly string[], why: 'stopped' | 'cut' = 'stopped'): ParsedPart[] {
  const parser = new ToolCallParser(tools);
  const parts = [...pieces.flatMap((piece) => parser.push(piece)), ...parser.end(why)];
  const merged: ParsedPart[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (part.k === 'text' && last?.k === 'text') merged[merged.length - 1] = { k: 'text', text: last.text + part.text };
    else merged.push(part);
  }
  return merged;
}

function call(name: string, json: string, repaired = false, isComplete = true): ParsedPart {
  return { k: 'call', call: { name, json, repaired }, isComplete };
}

const paris = '{"city":"Paris"}';
const cases: ReadonlyArray<{ name: string; text: string; why?: 'cut'; parts: ParsedPart[] }> = [
  {
    name: 'plain text passes untouched',
    text: 'Two < three {and} four.\n',
    parts: [{ k: 'text', text: 'Two < three {and} four.\n' }],
  },
  {
    name: 'Hermes tags',
    text: `<tool_call>\n{"name": "get_weather", "arguments": ${paris}}\n</tool_call>`,
    parts: [call('get_weather', paris)],
  },
  {
    name: 'text before tags',
    text: `Let me look.\n\n<tool_call>{"name":"get_weather","arguments":${paris}}</tool_call>`,
    parts: [{ k: 'text', text: 'Let me look.' }, call('get_weather', paris)],
  },
  {
    name: 'two tagged calls',
    text: `<tool_call>\n{"name": "get_weather", "arguments": ${paris}}\n</tool_call>\n<tool_call>\n{"name": "set_timer", "arguments": {"minutes": 3}}\n</tool_call>\n`,
    parts: [call('get_weather', paris), call('set_timer', '{"minutes": 3}')],
  },
  {
    name: 'a tag that is never closed',
    text: `<tool_call>{"name":"get_weather","arguments":${paris}}`,
    parts: [call('get_weather', paris)],
  },
  { name: 'bare JSON', text: `{"name": "get_weather", "arguments": ${paris}}`, parts: [call('get_weather', paris)] },
  {
    name: 'bare JSON after a line of text',
    text: `Sure:\n{"name": "get_weather", "arguments": ${paris}}`,
    parts: [{ k: 'text', text: 'Sure:' }, call('get_weather', paris)],
  },
  {
    name: 'two bare calls on two lines',
    text: `{"name": "get_weather", "arguments": ${paris}}\n{"name": "set_timer", "arguments": {}}`,
    parts: [call('get_weather', paris), call('set_timer', '{}')],
  },
  {
    name: 'a list of calls',
    text: `[{"name": "get_weather", "arguments": ${paris}}, {"name": "set_timer", "arguments": {"minutes":1}}]`,
    parts: [call('get_weather', paris), call('set_timer', '{"minutes":1}')],
  },
  {
    name: 'a json fence',
    text: `\`\`\`json\n{"name": "get_weather", "arguments": ${paris}}\n\`\`\``,
    parts: [call('get_weather', paris)],
  },
  {
    name: 'two fences',
    text: `\`\`\`json\n{"name": "get_weather", "arguments": ${paris}}\n\`\`\`\n\`\`\`json\n{"name": "set_timer", "arguments": {}}\n\`\`\``,
    parts: [call('get_weather', paris), call('set_timer', '{}')],
  },
  {
    name: 'a fence without language around tags',
    text: `\`\`\`\n<tool_call>\n{"name": "get_weather", "arguments": ${paris}}\n</tool_call>\n\`\`\``,
    parts: [call('get_weather', paris)],
  },
  {
    name: 'FunctionGemma',
    text: '<start_function_call>call:get_weather{city:<escape>São, {Paulo}<escape>,days:3,exact:true,tags:[<escape>a<escape>]}<end_function_call><start_function_response>',
    parts: [call('get_weather', '{"city":"São, {Paulo}","days":3,"exact":true,"tags":["a"]}')],
  },
  {
    name: 'an unknown tool with arguments is a call',
    text: '{"name": "add", "arguments": {"a": 2}}',
    parts: [call('add', '{"a": 2}')],
  },
  {
    name: 'data with a name is no call',
    text: '{"name": "Ada", "age": 36}',
    parts: [{ k: 'text', text: '{"name": "Ada", "age": 36}' }],
  },
  {
    name: 'a person list is no call',
    text: '[\n  {"name": "Ada"},\n  {"name": "Bob"}\n]',
    parts: [{ k: 'text', text: '[\n  {"name": "Ada"},\n  {"name": "Bob"}\n]' }],
  },
  {
    name: 'code in a fence is no call',
    text: '```js\nconst a = {};\n```\nDone.',
    parts: [{ k: 'text', text: '```js\nconst a = {};\n```\nDone.' }],
  },
  {
    name: 'a tag in prose is no call',
    text: 'Write <tool_call> first.',
    parts: [{ k: 'text', text: 'Write <tool_call> first.' }],
  },
  {
    name: 'arguments as a string',
    text: '{"name": "get_weather", "arguments": "{\\"city\\":\\"Paris\\"}"}',
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'parameters for arguments',
    text: `{"name": "get_weather", "parameters": ${paris}}`,
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'the wrapping of the API',
    text: `{"type": "function", "function": {"name": "get_weather", "arguments": ${paris}}}`,
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'another spelling of the name',
    text: `<tool_call>{"name": "functions.getWeather", "arguments": ${paris}}</tool_call>`,
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'a trailing comma',
    text: '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris",}}</tool_call>',
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'a missing bracket before the closing tag',
    text: '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}\n</tool_call>',
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'one bracket too many',
    text: `<tool_call>{"name": "get_weather", "arguments": ${paris}}}</tool_call>`,
    parts: [call('get_weather', paris)],
  },
  {
    name: 'an answer that stops inside a call is repaired',
    text: '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"',
    parts: [call('get_weather', paris, true)],
  },
  {
    name: 'an answer cut inside a call leaves it unfinished',
    text: '<tool_call>{"name": "get_weather", "arguments": {"city": "Par',
    why: 'cut',
    parts: [call('get_weather', '{"city": "Par', false, false)],
  },
  {
    name: 'numbers keep their digits',
    text: '{"name": "set_timer", "arguments": {"id": 12345678901234567890}}',
    parts: [call('set_timer', '{"id": 12345678901234567890}')],
  },
  {
    name: 'a closing tag inside a string is text of the argument',
    text: '<tool_call>{"name": "get_weather", "arguments": {"city": "</tool_call>"}}</tool_call>',
    parts: [call('get_weather', '{"city": "</tool_call>"}')],
  },
  {
    name: 'text after a call is kept',
    text: `<tool_call>{"name":"get_weather","arguments":${paris}}</tool_call>\nDone.`,
    parts: [call('get_weather', paris), { k: 'text', text: 'Done.' }],
  },
];

for (const { name, text, why, parts } of cases) {
  test(`reads: ${name}`, () => {
    assert.deepEqual(parse([text], why ?? 'stopped'), parts);
    assert.deepEqual(parse(Array.from(text), why ?? 'stopped'), parts, 'character by character');
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: text.length }), { maxLength: 6 }), (cuts) => {
        const ends = [...cuts, text.length].toSorted((a, b) => a - b);
        assert.deepEqual(
          parse(
            ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end)),
            why ?? 'stopped',
          ),
          parts,
        );
      }),
      { numRuns: 30 },
    );
  });
}

test('ordinary text streams at once', () => {
  const parser = new ToolCallParser(tools);
  assert.deepEqual(parser.push('The answer'), [{ k: 'text', text: 'The answer' }]);
  assert.deepEqual(parser.push(' is {x}'), [{ k: 'text', text: ' is {x}' }]);
  assert.equal(parser.inside, 'text');
});

test('a plain JSON answer streams from its first key on', () => {
  const parser = new ToolCallParser(tools);
  assert.deepEqual(parser.push('{"'), []);
  assert.equal(parser.inside, 'undecided');
  assert.deepEqual(parser.push('city"'), [{ k: 'text', text: '{"city"' }]);
});

test('a call is recognised as one by its name', () => {
  const parser = new ToolCallParser(tools);
  assert.deepEqual(parser.push('{"name": "get_weather"'), []);
  assert.equal(parser.inside, 'call');
});

test('any text without a call comes out as it went in', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[ab<`{["\n: ]{0,5}$/), { maxLength: 12 }), (pieces) => {
      const text = pieces.join('');
      assert.deepEqual(parse(pieces), text === '' ? [] : [{ k: 'text', text }]);
    }),
  );
});
