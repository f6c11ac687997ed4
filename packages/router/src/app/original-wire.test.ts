import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import * as z from 'zod';
import { isJsonObject, type JsonObject } from '../core/json.ts';
import { originalAnswer, readOriginal } from './original-wire.ts';

const vectors = z.object({
  cases: z.array(
    z.object({
      name: z.string(),
      line: z.string(),
      asked: z.record(z.string(), z.unknown()).nullable(),
      model_says: z
        .object({
          text: z.string().optional(),
          confidence: z.number().optional(),
          threshold: z.number().optional(),
          call: z.object({ name: z.string(), arguments: z.string() }).optional(),
        })
        .optional(),
      answer: z.record(z.string(), z.unknown()),
    }),
  ),
});

test('every vector of the original wire, both ways', () => {
  for (const { name, line, asked, model_says: says, answer } of deviceVectors('legacy', vectors).cases) {
    const read = readOriginal(line);
    if (asked === null) {
      assert.deepEqual(read, answer, name);
      continue;
    }
    assert.ok('body' in read, name);
    const { model, tools, ...rest } = read.body;
    assert.equal(model, 'lfo-local', name);
    const flat = Array.isArray(tools) ? { tools: tools.map((tool) => isJsonObject(tool) && tool['function']) } : {};
    assert.deepEqual({ ...rest, ...flat }, asked, name);
    const calls = says?.call === undefined ? [] : [{ id: 'a', type: 'function', function: { ...says.call } }];
    const completion: JsonObject = {
      choices: [{ message: { content: says?.text ?? null, ...(calls.length > 0 ? { tool_calls: calls } : {}) } }],
      lfo_metadata: { confidence: says?.confidence ?? null, threshold: says?.threshold ?? 0.7 },
    };
    assert.deepEqual(originalAnswer(completion, 0), answer, name);
  }
});

test('an error is its message alone', () => {
  assert.deepEqual(originalAnswer({ error: { message: 'Too long.', code: 'x' } }, 5), { error: 'Too long.' });
  assert.deepEqual(originalAnswer(undefined, 5), { error: 'No answer.' });
});
