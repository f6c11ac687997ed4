import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intersectModes, resolveModel, type ModelServer } from './model-aliases.ts';

const servers: readonly ModelServer[] = [
  { id: 'embedded', tier: 'local', models: ['qwen', 'shared', 'twin'] },
  { id: 'ollama', tier: 'local', models: ['qwen3:4b', 'twin'] },
  { id: 'gemini', tier: 'cloud', models: ['gemini-2.5-flash', 'shared'] },
];

for (const [asked, target] of [
  ['lfo-auto', { mode: 'auto' }],
  ['lfo-local', { mode: 'local' }],
  ['lfo-cloud', { mode: 'cloud' }],
  ['qwen', { mode: 'local', backend: 'embedded', model: 'qwen' }],
  ['gemini-2.5-flash', { mode: 'cloud', backend: 'gemini', model: 'gemini-2.5-flash' }],
  ['twin', { mode: 'local', model: 'twin' }],
  ['shared', { mode: 'auto', model: 'shared' }],
  ['ollama/twin', { mode: 'local', backend: 'ollama', model: 'twin' }],
  ['gemini/qwen', undefined],
  ['LFO-AUTO', undefined],
  ['', undefined],
] as const) {
  test(`model "${asked}" resolves to ${JSON.stringify(target)}`, () => {
    assert.deepEqual(resolveModel(asked, servers), target);
  });
}

test('the strictest mode wins and contradictions leave nothing', () => {
  assert.equal(intersectModes('auto', 'local'), 'local');
  assert.equal(intersectModes('cloud', 'auto'), 'cloud');
  assert.equal(intersectModes('auto', 'auto'), 'auto');
  assert.equal(intersectModes('local', 'cloud'), undefined);
});
