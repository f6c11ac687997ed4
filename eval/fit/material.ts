import { readFileSync } from 'node:fs';
import { matchFeatures } from '@lfo/router/src/confidence/features/text-features.ts';
import { viewRequest } from '@lfo/router/src/confidence/features/request-view.ts';
import { readWordWeights, type WordWeights } from '@lfo/router/src/confidence/features/word-weights.ts';
import { natsOf } from '@lfo/router/src/confidence/features/nats.ts';
import type { ToolSpec } from '@lfo/router/src/core/request.ts';
import { parseJson } from '@lfo/router/src/core/json.ts';
import { list, readCases, readTruths, type EvalCase } from '../cases.ts';
import { fitChanges, testChanges } from '../copies.ts';
import { readLines } from '../reference-data.ts';
import { readTraces } from '../trace-file.ts';
import { addRows, changedExample, exampleOf, type Example } from './examples.ts';
import { emptyRows, type HeadRow, type HeadRows } from '@lfo/router/src/confidence/fitting/fit-heads.ts';
import { hashOf } from '@lfo/router/src/confidence/fitting/random.ts';

/** All that heads are fitted and tested on. */
export interface Material {
  readonly weights: WordWeights;
  readonly examples: readonly Example[];
  /** Two changed copies of each example, of the kinds that fitting may see. */
  readonly copies: readonly Example[];
  /** Pairs of a question with its own and with other tools, by the question's id. */
  readonly pairs: readonly { readonly id: string; readonly row: HeadRow }[];
  /** Short answers without tools. */
  readonly texts: readonly HeadRow[];
}

/** The word weights as they ship. */
export function shippedWeights(): WordWeights {
  const file = new URL('../../packages/router/src/confidence/calibration/word-weights.json', import.meta.url);
  return readWordWeights(parseJson(readFileSync(file, 'utf8')) ?? null);
}

/** Reads and judges everything; a few seconds. */
export function readMaterial(data: URL): Material {
  const weights = shippedWeights();
  const folder = new URL('bfcl/', data);
  const cases = readCases(folder);
  const truths = readTruths(folder);
  const pool = poolOf(cases);
  const examples = readTraces(new URL('traces/bfcl-qwen2.5-coder-0.5b.jsonl.gz', data)).flatMap((trace) => {
    const one = cases.get(trace.id);
    return one === undefined ? [] : [exampleOf(trace, one.request, one.category, truths.get(trace.id), weights)];
  });
  const kinds = Object.values(fitChanges);
  const copies = examples.flatMap((example) => {
    const start = hashOf(`copy ${example.id}`);
    return [0, 3].flatMap((step) => {
      const change = kinds[(start + step) % kinds.length];
      return change === undefined
        ? []
        : [changedExample(example, change(example.request, example.trace, pool), weights)];
    });
  });
  return { weights, examples, copies, pairs: pairsOf([...cases.values()], weights), texts: shortAnswers() };
}

/** Every example under each change kept for testing, by the name of the change. */
export function testCopies(data: URL, { examples, weights }: Material): ReadonlyMap<string, readonly Example[]> {
  const pool = poolOf(readCases(new URL('bfcl/', data)));
  return new Map(
    Object.entries(testChanges).map(([name, change]) => [
      name,
      examples.map((example) => changedExample(example, change(example.request, example.trace, pool), weights)),
    ]),
  );
}

/** Rows for the heads from all cases whose id passes. */
export function rowsFor(material: Material, passes: (id: string) => boolean): HeadRows {
  const rows = emptyRows();
  addRows(
    rows,
    material.examples.filter(({ id }) => passes(id)),
    1,
  );
  addRows(
    rows,
    material.copies.filter(({ id }) => passes(id)),
    copyWeight,
  );
  rows.noCall.push(...material.pairs.flatMap(({ id, row }) => (passes(id) ? row : [])), ...material.texts);
  rows.text.push(...material.texts);
  return rows;
}

function poolOf(cases: ReadonlyMap<string, EvalCase>): readonly ToolSpec[] {
  return [...cases.values()].flatMap(({ request }) => request.tools.slice(0, 1));
}

/** Needs no answer and no label but the category: a text is right where the tools are another question's. */
function pairsOf(cases: readonly EvalCase[], weights: WordWeights): Material['pairs'] {
  return cases.flatMap(({ id, category, request }, index) => {
    const other = cases[(index + 1 + (hashOf(`pair ${id}`) % (cases.length - 1))) % cases.length];
    const features = matchFeatures(viewRequest(request, weights));
    // Tools that only look fitting teach more than tools drawn at random.
    if (category === 'irrelevance') return [{ id, row: { features, target: 1, weight: nearMissWeight } }];
    const row = { features, target: 0, weight: 1 };
    if (other === undefined) return [{ id, row }];
    const others = matchFeatures(viewRequest({ ...request, tools: other.request.tools }, weights));
    return [
      { id, row },
      { id, row: { features: others, target: 1, weight: 1 } },
    ];
  });
}

function shortAnswers(): readonly HeadRow[] {
  return readLines(new URL('../short-answers.jsonl', import.meta.url)).map((row) => {
    const nats = list(row['logprobs']).map((value) => natsOf(typeof value === 'number' ? value : Number.NaN));
    const [worst = 0, second = 0] = nats.slice(0, 16).toSorted((a, b) => b - a);
    return { features: { opening_nats: (worst + second) / 2 }, target: Number(row['isRight']), weight: 1 };
  });
}

const copyWeight = 0.3;
const nearMissWeight = 5;
