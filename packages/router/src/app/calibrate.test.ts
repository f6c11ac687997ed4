import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { loadConfig } from '../config/load.ts';
import { writeCalibration, type CalibrationResult } from './calibrate.ts';
import { CalibrationsInForce, shippedHeads } from './estimator.ts';

test('what was learned of a model at one engine does not overwrite what was of the same at another', (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'lfo-calibrations-'));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const [base] = shippedHeads().calibrations;
  assert.ok(base !== undefined);
  const learned = (engine: string, scale: number): CalibrationResult => ({
    model: 'small',
    identity: { engine, model: 'small' },
    labels: 40,
    right: 30,
    outcome: 'moved',
    brierBefore: 0.2,
    brierAfter: 0.1,
    heads: base.heads,
    sharpening: { scale, shift: 0 },
    base,
  });
  const files = [learned('ollama', 0.5), learned('llama.cpp', 0.6), learned('ollama', 0.7)].map((result) =>
    writeCalibration({ dataDir }, result),
  );
  assert.equal(files[0], files[2], 'what is learned anew replaces what was');
  const config = loadConfig({ env: { LFO_DATA_DIR: dataDir }, cwd: dataDir });
  const own = new CalibrationsInForce(config, pino({ level: 'silent' })).calibrations.slice(0, -1);
  const found = own.map(({ model, sharpening }) => [model['engine'], sharpening?.scale]);
  assert.deepEqual(
    found.toSorted((a, b) => Number(a[1]) - Number(b[1])),
    [
      ['llama.cpp', 0.6],
      ['ollama', 0.7],
    ],
  );
});
