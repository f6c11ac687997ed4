import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { featuresVersion } from '@lfo/router/src/confidence/features/features.ts';
import { readCalibration } from '@lfo/router/src/confidence/heads/calibration.ts';
import { fitHeads, shippedRecipes } from '@lfo/router/src/confidence/fitting/fit-heads.ts';
import { readMaterial, rowsFor } from './fit/material.ts';
import { learnWordWeights, writeWordWeights } from './fit/word-weights.ts';
import { outOfFoldScores } from './report/bfcl.ts';
import { findData } from './reference-data.ts';

// Fits the shipped calibration on the shared traces: `npm run fit`. The same data and seed give the same file.

const seed = 1;
const calibrationFolder = new URL('../packages/router/src/confidence/calibration/', import.meta.url);
const data = findData();
if (data === undefined) throw new Error('The reference data is not here; name its folder in LFO_REFERENCE_DATA.');

writeWordWeights(new URL('word-weights.json', calibrationFolder), learnWordWeights(data));
const material = readMaterial(data);
const heads = fitHeads(
  rowsFor(material, () => true),
  shippedRecipes,
  seed,
);
const traces = readFileSync(new URL('traces/bfcl-qwen2.5-coder-0.5b.jsonl.gz', data));
const calibration = {
  schema: 1,
  id: `qwen2.5-coder-0.5b-${featuresVersion}`,
  fittedOn: { traces: `sha256:${createHash('sha256').update(traces).digest('hex')}`, n: material.examples.length },
  model: { model: 'qwen2.5-coder-0.5b*' },
  features: featuresVersion,
  heads,
  scores: outOfFoldScores(material, seed),
  thresholds: { default: 0.7 },
};
const text = JSON.stringify(calibration, (_key, value: unknown) =>
  typeof value === 'number' ? shorter(value) : value,
);
readCalibration(JSON.parse(text));
const file = new URL('qwen2.5-coder-0.5b.json', calibrationFolder);
writeFileSync(file, `${text}\n`);
console.log(
  `${file.pathname.split('/').at(-1)}: ${material.examples.length} answers, ${Math.round(text.length / 1024)} kB`,
);

/** Three digits decide no verdict. */
function shorter(value: number): number {
  return Number(value.toPrecision(3));
}
