import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Asked, faultOf } from './stress-traffic.ts';
import { partsOfAnswer } from './stress-upstream.ts';

const words = 'w1 '.repeat(partsOfAnswer);
const refusal = { error: { message: 'm', type: 't', param: null, code: 'c' } };
const choice = (more: object) => ({ choices: [{ index: 0, finish_reason: null, ...more }] });
const part = (content: string) => choice({ delta: { content } });
const end = choice({ delta: {}, finish_reason: 'stop' });
const told = (route: string) => ({ choices: [], lfo_metadata: { route } });
const sse = (...chunks: readonly unknown[]): string =>
  chunks.map((chunk) => `data: ${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n\n`).join('');
const whole = (content: string, route = 'local'): string =>
  JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }], lfo_metadata: { route } });

const asked: Asked = { kind: 'stream', mode: 'local', word: 'w1', status: 200, text: '' };

test('right answers and right refusals have no fault', () => {
  const right: readonly Partial<Asked>[] = [
    { text: whole(words) },
    { text: whole('0 1 2') },
    { text: whole('{"word": "w1"}') },
    { text: sse(part(words), end, told('local'), '[DONE]') },
    { text: sse(part('w1 w1 '), refusal) },
    { status: 503, text: JSON.stringify(refusal) },
    { kind: 'bad', status: 400, text: JSON.stringify(refusal) },
  ];
  for (const each of right) assert.equal(faultOf({ ...asked, ...each }), undefined, each.text);
});

test('every wrong answer is told', () => {
  const wrong: Readonly<Record<string, Partial<Asked>>> = {
    "another's words": { text: whole('w2 '.repeat(partsOfAnswer)) },
    'a whole answer that is cut': { text: whole('w1 w1 ') },
    'a local question answered by the cloud': { text: whole(words, 'cloud') },
    'neither text nor call': { text: JSON.stringify({ choices: [{ message: {} }], lfo_metadata: { route: 'local' } }) },
    "another's words in a stream": { text: sse(part('w2 '), end, told('local'), '[DONE]') },
    'a stream from the cloud': { text: sse(part(words), end, told('cloud'), '[DONE]') },
    'a stream without an end': { text: sse(part('w1 ')) },
    'an error that looks like an end': { text: sse(part('w1 '), end, refusal) },
    'an end without a reason': { text: sse(part(words), told('local'), '[DONE]') },
    'no event at all': { text: 'nonsense' },
    'something after the end': { text: sse(part(words), end, '[DONE]', part('w1 ')) },
    'a refusal without the envelope': { status: 503, text: '{"error":{"message":"m"}}' },
    'a fault of its own': { status: 500, text: JSON.stringify(refusal) },
    'a bad body that is answered': { kind: 'bad', text: whole(words) },
    'a bad body that is a fault of the backend': { kind: 'bad', status: 502, text: JSON.stringify(refusal) },
  };
  for (const [what, each] of Object.entries(wrong)) assert.notEqual(faultOf({ ...asked, ...each }), undefined, what);
});
