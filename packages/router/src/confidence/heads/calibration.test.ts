import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { isJsonObject, parseJson, type JsonObject } from '../../core/json.ts';
import { chooseCalibration, readCalibration } from './calibration.ts';

const file = new URL('../calibration/qwen2.5-coder-0.5b.json', import.meta.url);

function shipped(changes: JsonObject = {}): JsonObject {
  const value = parseJson(readFileSync(file, 'utf8'));
  assert.ok(isJsonObject(value));
  return { ...value, ...changes };
}

test('the shipped calibration is read and smaller than 400 kB', () => {
  assert.equal(readCalibration(shipped()).fittedOn.n, 665);
  assert.ok(statSync(file).size < 400_000);
});

test('another schema, another version of the features or a missing part is refused by name', () => {
  assert.throws(() => readCalibration(shipped({ schema: 2 })), /schema must be 1, not 2/);
  assert.throws(() => readCalibration(shipped({ features: 0 })), /features 0.*fit it anew/);
  assert.throws(() => readCalibration(shipped({ heads: {} })), /heads\.values must be a list/);
  assert.throws(() => readCalibration(shipped({ thresholds: { default: 'x' } })), /thresholds\.default/);
});

test('a broken tree is refused instead of walked for ever', () => {
  const loop = { feature: [0], value: [0.5], right: [0] };
  const head = [{ features: ['x'], linear: { bias: 0, weights: [1] }, trees: [loop], scale: 1, shift: 0 }];
  const heads = { values: head, noToolFits: [], moreCalls: [], noCall: [], text: [], request: [] };
  assert.throws(() => readCalibration(shipped({ heads })), /a tree of heads\.values is broken/);
});

test('the first calibration that names the model is taken, else the last as a prior', () => {
  const [one, other] = [
    { ...readCalibration(shipped()), id: 'own', model: { sha256: 'ab', template: 't1' } },
    readCalibration(shipped()),
  ];
  const choose = (model: Parameters<typeof chooseCalibration>[1]): string => {
    const chosen = chooseCalibration([one, other], model);
    return `${chosen?.calibration.id} ${chosen?.isPrior}`;
  };
  assert.equal(choose({ model: 'm', sha256: 'ab', template: 't1' }), 'own false');
  assert.equal(choose({ model: 'm', sha256: 'ab', template: 't2' }), `${other.id} true`);
  assert.equal(choose({ model: 'qwen2.5-coder-0.5b-instruct-q4_k_m' }), `${other.id} false`);
  assert.equal(chooseCalibration([], { model: 'm' }), undefined);
});
