/**
 * What the translation between OpenAI and Gemini costs: a request with 12 tools and 40 messages, and a chunk of a
 * stream. `node bench/translate/translate.ts`
 *
 * Prints medians over rounds, and the exponent by which a request's time grows from 10 to 1,000 messages (1: linear).
 */
import { AnswerReader } from '@lfo/router/src/backends/engines/gemini/events.ts';
import { traitsOf } from '@lfo/router/src/backends/engines/gemini/models.ts';
import { serialise, translateRequest } from '@lfo/router/src/backends/engines/gemini/request.ts';
import { signaturesFor } from '@lfo/router/src/backends/engines/gemini/signatures.ts';
import { ToolCallIds } from '@lfo/router/src/backends/engines/gemini/tool-call-ids.ts';
import { ToolNames } from '@lfo/router/src/backends/engines/gemini/tool-names.ts';
import { answerChunk } from '@lfo/router/src/backends/engines/gemini/wire.ts';
import type { ChatRequest, Message, ToolSpec } from '@lfo/router/src/core/request.ts';
import { BoundedSignatureStore } from '@lfo/router/src/backends/engines/gemini/signature-store.ts';
import { chatRequest } from '@lfo/testing/chat-request.ts';

const rounds = 15;
const sizes = [10, 40, 100, 300, 1_000];

const tools: readonly ToolSpec[] = Array.from({ length: 12 }, (_, index) => ({
  name: `tool_${index}`,
  description: 'Finds places near an address and returns them with their opening hours.',
  parameters: {
    type: 'object',
    properties: {
      query: { type: 'string', description: 'What to look for', minLength: 1 },
      unit: { type: 'string', enum: ['metric', 'imperial'] },
      limit: { type: ['integer', 'null'], minimum: 1, maximum: 50 },
      near: { $ref: '#/$defs/point' },
      tags: { type: 'array', items: { type: 'string' } },
    },
    required: ['query'],
    additionalProperties: false,
    $defs: {
      point: {
        type: 'object',
        properties: { lat: { type: 'number' }, lon: { type: 'number' } },
        required: ['lat', 'lon'],
      },
    },
  },
}));

/** An agent's history: a user's turn, a call, its result and an answer, over and over. */
function requestOf(messages: number): ChatRequest {
  const history = Array.from({ length: messages }, (_, index): Message => {
    const id = `call${Math.floor(index / 4)}`;
    const said = [{ type: 'text', text: `Message ${index}: ${'some words of usual length '.repeat(6)}` }] as const;
    if (index % 4 === 1)
      return {
        role: 'assistant',
        content: [],
        toolCalls: [{ id, name: 'tool_3', arguments: '{"query":"bakery","limit":3}' }],
      };
    if (index % 4 === 2)
      return {
        role: 'tool',
        toolCallId: id,
        content: [{ type: 'text', text: '{"places":[{"name":"Brot","open":true}]}' }],
      };
    return index % 4 === 0 ? { role: 'user', content: said } : { role: 'assistant', content: said, toolCalls: [] };
  });
  return chatRequest({ messages: history, tools, toolChoice: { type: 'auto' } });
}

const store = new BoundedSignatureStore();

function translate(request: ChatRequest): number {
  const traits = traitsOf('gemini-3-pro-preview');
  const names = new ToolNames(request.tools.map(({ name }) => name));
  const signatures = signaturesFor(traits, store, 'key', () => undefined);
  const context = { traits, names, signatures, sendsIds: true, wantScores: false, warn: () => undefined };
  return serialise(translateRequest(request, context)).length;
}

const chunk = JSON.stringify({
  candidates: [{ content: { role: 'model', parts: [{ text: ' some words of a chunk' }] }, index: 0 }],
  usageMetadata: {
    promptTokenCount: 900,
    candidatesTokenCount: 51,
    totalTokenCount: 951,
    promptTokensDetails: [{ modality: 'TEXT', tokenCount: 900 }],
  },
  modelVersion: 'gemini-3-pro-preview',
  responseId: 'qS77aMCqBu6mvr0PsJiykAw',
});

const reader = new AnswerReader({
  backend: 'gemini',
  model: 'gemini-3-pro-preview',
  names: new ToolNames([]),
  ids: new ToolCallIds(),
  keepsFirstCall: false,
  promptCharacters: 1_000,
  onSigned: () => undefined,
});

/** Median microseconds of one run. */
function measure(runs: number, run: () => unknown): number {
  for (let warmUp = 0; warmUp < runs; warmUp++) run();
  const samples = Array.from({ length: rounds }, () => {
    const startMs = performance.now();
    for (let index = 0; index < runs; index++) run();
    return ((performance.now() - startMs) * 1_000) / runs;
  });
  return samples.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
}

const times = sizes.map((size) => {
  const request = requestOf(size);
  return measure(Math.ceil(4_000 / size), () => translate(request));
});

/** Slope of the line through the points on logarithmic axes; the tools' share, which does not grow, taken off. */
function exponent(): number {
  const fixed = measure(100, () => translate(requestOf(0)));
  const points = sizes.map(
    (size, index) => [Math.log(size), Math.log(Math.max(1, (times[index] ?? 0) - fixed))] as const,
  );
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

console.table(sizes.map((messages, index) => ({ messages, 'µs per request': Math.round(times[index] ?? 0) })));
console.log(`12 tools, 40 messages: ${Math.round(times[1] ?? 0)} µs per request (aim: below 300)`);
console.log(
  `one chunk, parsed, checked and mapped: ${measure(5_000, () => reader.read(answerChunk.parse(JSON.parse(chunk)))).toFixed(1)} µs (aim: below 15)`,
);
console.log(`growth from ${sizes[0]} to ${sizes.at(-1)} messages: exponent ${exponent().toFixed(2)} (1 is linear)`);
