import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { ChatRequest } from '../../core/request.ts';
import { readWordWeights } from '../features/word-weights.ts';
import { readCalibration } from './calibration.ts';
import { expectedRight } from './expected-right.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../calibration/${name}`, import.meta.url), 'utf8'));
const shipped = {
  calibrations: [readCalibration(read('qwen2.5-coder-0.5b.json'))],
  weights: readWordWeights(read('word-weights.json')),
};
const weather = {
  name: 'get_weather',
  description: 'Get the current weather in a city',
  parameters: { type: 'object', properties: { city: { type: 'string', description: 'Name of the city' } } },
};
const asks = (text: string, tools: ChatRequest['tools'] = [weather]): ChatRequest =>
  chatRequest({ messages: [{ role: 'user', content: [{ type: 'text', text }] }], tools });
const model = { model: 'qwen2.5-coder-0.5b' };
const expected = (request: ChatRequest): number | undefined => expectedRight(shipped, request, model);

test('what a tool fits is expected to go better than what asks for several things or fits no tool', () => {
  const fits = expected(asks('What is the current weather in the city of Paris?')) ?? 0;
  const several = expected(asks('Get the weather in Paris, then book a hotel there and also rent a car.')) ?? 1;
  const none = expected(asks('Which of Dickens’ novels is the longest?')) ?? 1;
  assert.ok(fits > several, `${fits} > ${several}`);
  assert.ok(fits > none, `${fits} > ${none}`);
  for (const value of [fits, several, none]) assert.ok(value >= 0 && value <= 1);
});

test('without tools, and in a language that the declarations are not in, nothing is claimed', () => {
  assert.equal(expected(asks('What is the weather in Paris?', [])), undefined);
  assert.equal(expected(asks('Какая сейчас погода в Париже?')), undefined);
});
