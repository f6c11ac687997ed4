import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ToolSpec } from '../core/request.ts';
import { agreementOf } from './agreement.ts';

const tool: ToolSpec = {
  name: 'weather',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string' },
      unit: { type: 'string', description: 'C or F. Default is C.' },
      days: { type: 'integer', default: 1 },
    },
    required: ['city'],
  },
};
const usage = { promptTokens: 1, completionTokens: 1 };

function calls(...args: readonly string[]): readonly InferenceEvent[] {
  return [
    ...args.flatMap((json, index): InferenceEvent[] => [
      { type: 'tool-call-start', index, id: `c${index}`, name: 'weather' },
      { type: 'tool-call-delta', index, json },
      { type: 'tool-call-end', index },
    ]),
    { type: 'finish', reason: 'tool_calls', usage },
  ];
}

function text(words: string, reason: 'stop' | 'length' = 'stop'): readonly InferenceEvent[] {
  return [
    { type: 'text-delta', text: words },
    { type: 'finish', reason, usage },
  ];
}

const withTool = chatRequest({ tools: [tool] });

test('calls agree whatever their order, spelling, number form and stated defaults', () => {
  const agree = (one: readonly InferenceEvent[], other: readonly InferenceEvent[]) =>
    agreementOf(withTool, one, other)?.agrees;
  assert.equal(agree(calls('{"city":"New York"}'), calls('{"city":"new-york","unit":"C","days":1}')), true);
  assert.equal(agree(calls('{"city":"Paris"}', '{"city":"Rome"}'), calls('{"city":"Rome"}', '{"city":"Paris"}')), true);
  assert.equal(agree(calls('{"city":"Paris","days":"3"}'), calls('{"days":3,"city":"Paris"}')), true);
  assert.equal(agree(calls('{"city":"Paris","days":2}'), calls('{"city":"Paris"}')), false);
});

test('a difference names its cause', () => {
  const because = (one: readonly InferenceEvent[], other: readonly InferenceEvent[]) =>
    agreementOf(withTool, one, other)?.because;
  assert.equal(because(calls('{"city":"Paris"}'), text('I cannot.')), 'no_tool_fits');
  assert.equal(because(calls('{"city":"Paris"}'), calls('{"city":"Paris"}', '{"city":"Rome"}')), 'more_calls');
  assert.equal(because(calls('{"city":"Paris"}'), calls('{"city":"Rome"}')), 'values');
  assert.deepEqual(agreementOf(withTool, text('Hello'), calls('{"city":"Rome"}')), { agrees: false });
});

test('text beside text where tools were declared is agreement on no call', () => {
  assert.deepEqual(agreementOf(withTool, text('None fits.'), text('Sorry, there is no tool for it.')), {
    agrees: true,
  });
});

test('free text is compared only where it has a form', () => {
  const plain = chatRequest();
  assert.equal(agreementOf(plain, text('The answer is 42.'), text('42'))?.agrees, true);
  assert.equal(agreementOf(plain, text('41'), text('42'))?.agrees, false);
  assert.equal(agreementOf(plain, text('Paris.'), text('paris'))?.agrees, true);
  const long = text('This is a long explanation of the matter that goes on for more than twelve words in all.');
  assert.equal(agreementOf(plain, long, long), undefined);
});

test('a promised format is compared as JSON', () => {
  const json = chatRequest({ responseFormat: { type: 'json_object' } });
  assert.equal(agreementOf(json, text('{"a":1,"b":"X"}'), text('{"b":"x","a":1}'))?.agrees, true);
  assert.equal(agreementOf(json, text('{"a":'), text('{"a":1}'))?.agrees, false);
});

test('an answer that was cut is not compared', () => {
  assert.equal(agreementOf(chatRequest(), text('42', 'length'), text('42')), undefined);
});
