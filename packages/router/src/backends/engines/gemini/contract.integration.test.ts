import assert from 'node:assert/strict';
import { type Behaviour, describeBackend } from '@lfo/testing/backend-contract.ts';
import type { FakeAnswer } from '@lfo/testing/fake-gemini.ts';
import { FakeGemini, invalidKey, rateLimit, refusal } from '@lfo/testing/fake-gemini.ts';
import { geminiSubject } from '@lfo/testing/gemini/gemini-subject.ts';
import { refusingOrigin } from '@lfo/testing/scripted-upstream.ts';
import type { Exchange } from '@lfo/testing/upstream/exchange.ts';

const text = { candidates: [{ content: { parts: [{ text: 'Hel' }] } }] };

async function begin(exchange: Exchange): Promise<void> {
  exchange.head(200, { 'content-type': 'text/event-stream' });
  await exchange.write(`data: ${JSON.stringify(text)}\r\n\r\n`);
}

const answers: Readonly<Partial<Record<Behaviour, FakeAnswer>>> = {
  'tool-call': { parts: [{ functionCall: { name: 'add', args: { a: 1 } } }] },
  length: { parts: [{ text: 'Hel' }], finishReason: 'MAX_TOKENS' },
  'unknown-fields': {
    chunks: [
      { ...text, mystery: { deep: [1, null] } },
      { candidates: [{ finishReason: 'STOP', content: { parts: [{ novel: {} }] }, groundingMetadata: {} }] },
    ],
  },
  'hang-before-first-byte': (exchange) => exchange.silence(),
  'hang-mid-stream': async (exchange) => {
    await begin(exchange);
    await exchange.silence();
  },
  'reset-mid-stream': async (exchange) => {
    await begin(exchange);
    await exchange.pause(20);
    exchange.reset();
  },
  'no-finish': { chunks: [text] },
  'truncated-json': async (exchange) => {
    await begin(exchange);
    exchange.finish('data: {"candidates":[{"con\r\n\r\n');
  },
  'wrong-content-type': (exchange) => {
    exchange.head(200, { 'content-type': 'text/html' });
    exchange.finish('<html>secret</html>');
  },
  'status-401': invalidKey(),
  'status-429': rateLimit('7s'),
  'status-500': refusal(500, 'INTERNAL', 'An internal error has occurred.'),
};

describeBackend(
  'gemini',
  async (behaviour, t) => {
    const fake = await FakeGemini.start();
    t.after(() => fake.close());
    const answer = answers[behaviour];
    if (answer !== undefined) fake.next(answer);
    const { backend } = geminiSubject(t, behaviour === 'refused' ? await refusingOrigin() : fake.origin);
    const abandoned = async (): Promise<void> => {
      assert.equal(await fake.exchanges[0]?.ended, 'aborted');
    };
    return { backend, model: 'gemini-2.5-flash', abandoned };
  },
  true,
);
