import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shippedModels } from '@lfo/device-core';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import * as z from 'zod';
import { findListed, intersectModes, listModels, resolveModel, type ModelServer } from './model-directory.ts';

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

test('the list and the backends resolve every name alike', () => {
  const models = listModels(servers);
  const names = servers.flatMap(({ id, models: served }) => served.flatMap((model) => [model, `${id}/${model}`]));
  for (const asked of [...names, 'lfo-auto', 'lfo-local', 'lfo-cloud', 'gemini/qwen', 'ollama/', '/twin', 'nobody']) {
    const found = findListed(models, asked);
    const target = resolveModel(asked, servers);
    assert.equal(found === undefined, target === undefined, asked);
    assert.equal(found?.aliasOf ?? found?.tier ?? (found === undefined ? undefined : 'auto'), target?.mode, asked);
  }
});

test('each model is listed once, with every backend that serves it', () => {
  const models = listModels(servers);
  assert.equal(new Set(models.map(({ id }) => id)).size, models.length);
  assert.deepEqual(
    models.find(({ id }) => id === 'shared'),
    {
      id: 'shared',
      ownedBy: 'embedded',
      servers: [
        { id: 'embedded', tier: 'local' },
        { id: 'gemini', tier: 'cloud' },
      ],
    },
  );
});

test('the aliases of an LFO behind this one are reached by its name alone', () => {
  const nested = [...servers, { id: 'attic', tier: 'local', models: ['lfo-local'] } as const];
  assert.deepEqual(resolveModel('lfo-local', nested), { mode: 'local' });
  assert.deepEqual(resolveModel('attic/lfo-local', nested), { mode: 'local', backend: 'attic', model: 'lfo-local' });
  const models = listModels(nested);
  assert.equal(models.filter(({ id }) => id === 'lfo-local').length, 1);
  assert.equal(findListed(models, 'attic/lfo-local')?.ownedBy, 'attic');
});

const phone = (models: readonly string[], plainModels: readonly string[] = []): ModelServer => ({
  id: 'dev-1',
  tier: 'local',
  models,
  device: { name: 'phone', plainModels },
});
const cloudServer: ModelServer = { id: 'gemini', tier: 'cloud', models: ['gemini-2.5-flash'] };

test('a device is reached by model@device and captures no name of another', () => {
  const servers = [phone(['gemini-2.5-flash', 'tiny', 'LFO-local'], ['gemini-2.5-flash', 'LFO-local']), cloudServer];
  assert.deepEqual(resolveModel('gemini-2.5-flash', servers), {
    mode: 'cloud',
    backend: 'gemini',
    model: 'gemini-2.5-flash',
  });
  assert.deepEqual(resolveModel('tiny@phone', servers), { mode: 'local', backend: 'dev-1', model: 'tiny' });
  assert.deepEqual(resolveModel('gemini-2.5-flash@phone', servers)?.backend, 'dev-1');
  for (const asked of ['tiny', 'LFO-local', 'dev-1/tiny', 'tiny@pho', 'other@phone']) {
    assert.equal(resolveModel(asked, servers), undefined, asked);
  }
  // Written otherwise it is the same name.
  assert.equal(
    resolveModel('Gemini-2.5-Flash', [phone(['Gemini-2.5-Flash'], ['Gemini-2.5-Flash']), cloudServer]),
    undefined,
  );
  assert.deepEqual(resolveModel('tiny', [phone(['tiny'], ['tiny'])]), {
    mode: 'local',
    backend: 'dev-1',
    model: 'tiny',
  });
});

const { plain_ids: plainIds } = deviceVectors(
  'trust',
  z.object({
    plain_ids: z.object({
      configured: z.array(z.string()),
      cloud: z.array(z.string()),
      'fleet.models': z.array(z.string()),
      served: z.array(z.string()),
      not_served: z.array(z.string()),
    }),
  }),
);

test('the plain ids of devices are those of the catalogue and of fleet.models, where nobody else has them', () => {
  const { configured, cloud, served, not_served: refused } = plainIds;
  const plainModels = [...shippedModels, ...plainIds['fleet.models']];
  const others: ModelServer[] = [
    { id: 'desk', tier: 'local', models: configured },
    { id: 'gemini', tier: 'cloud', models: cloud },
  ];
  for (const model of served)
    assert.equal(resolveModel(model, [phone([model], plainModels), ...others])?.backend, 'dev-1', model);
  for (const model of refused) {
    // Also where the operator allows it.
    for (const allowed of [plainModels, [...plainModels, ...refused.filter((each) => each !== 'other')]])
      assert.notEqual(resolveModel(model, [phone([model], allowed), ...others])?.backend, 'dev-1', model);
  }
});
