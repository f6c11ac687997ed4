import { readdirSync, readFileSync } from 'node:fs';
import type { Tree } from '@lfo/router/src/confidence/heads/head.ts';
import { text } from '../cases.ts';
import { growForest } from '@lfo/router/src/confidence/fitting/extra-trees.ts';
import { hashOf, seededRandom } from '@lfo/router/src/confidence/fitting/random.ts';
import { fitLinear } from '@lfo/router/src/confidence/fitting/ridge.ts';
import { readLines } from '../reference-data.ts';
import { mean } from '../statistics.ts';
import { answerFeatures, hashedGrams, requestFeatures, type TableRow } from './answer-features.ts';
import { apgr, bootstrap, figure, interval, table } from './measures.ts';

/** A table of answers by a weak and a strong model. */
interface Pair {
  readonly name: string;
  readonly ids: readonly string[];
  readonly rows: readonly TableRow[];
  readonly weak: readonly number[];
  readonly strong: readonly number[];
  /** Learn from so many rows and test on the rest; absent: folds. */
  readonly learnFrom?: number;
  /** Absent: five. */
  readonly folds?: number;
}

/** APGR over the tables of answers, by what is known before the answer and after it, beside lengths, category, oracles. */
export function tablesReport(data: URL): string {
  const answered = [
    pairOf(data, 'mmlu-pro', 'phi-3-mini', 'gemini-1.5-flash'),
    pairOf(data, 'mmlu-pro', 'llama-3.1-8b', 'gemini-1.5-flash'),
    pairOf(data, 'zeroeval', 'phi-3.5-mini', 'gemini-1.5-pro'),
    pairOf(data, 'zeroeval', 'gemma-2-9b', 'gemini-1.5-pro'),
    pairOf(data, 'zeroeval', 'gemma-2-2b', 'gemini-1.5-pro'),
  ];
  const asked = [routeLlm(data, 'mmlu', { learnFrom: 1_500 }), routeLlm(data, 'gsm8k', { folds: 10 })];
  return [
    'APGR, out of fold (higher is better, .5 is random); 95 % by bootstrap over rows (300 resamples):',
    table(
      [
        'pair',
        'question length',
        'answer length',
        'category',
        'request only',
        'after the answer',
        'over answer length',
        'oracle wrong / gain',
        'shuffled',
      ],
      answered.map(answeredLine),
    ),
    'Request only, RouteLLM (Mixtral-8x7B → GPT-4; the strong one is asked where the gain is expected):',
    table(
      ['table', 'question length', 'category', 'request only', 'oracle wrong / gain', 'shuffled'],
      asked.map(askedLine),
    ),
  ].join('\n\n');
}

function answeredLine(pair: Pair): readonly string[] {
  const { rows, weak, strong } = pair;
  const before = learn(pair, (row) => requestFeatures(row), gainOf(pair));
  const after = learn(pair, (row) => [...requestFeatures(row), ...answerFeatures(row)], gainOf(pair));
  const length = rows.map(({ chars }) => -chars);
  const area = (scores: readonly number[]): number => apgr(scores, weak, strong);
  return [
    `${pair.name} (${rows.length})`,
    figure(area(rows.map(({ question }) => -question.length))),
    figure(area(length)),
    figure(area(byCategory(pair))),
    `${figure(area(before))} ${interval(range(pair, before))}`,
    `**${figure(area(after))}** ${interval(range(pair, after))}`,
    `+${figure(area(after) - area(length))} ${interval(range(pair, after, length))}`,
    `${figure(area(weak), 2)} / ${figure(area(gainOf(pair).map((gain) => -gain)), 2)}`,
    figure(area(learn(pair, (row) => [...requestFeatures(row), ...answerFeatures(row)], dealt(gainOf(pair))))),
  ];
}

function askedLine(pair: Pair): readonly string[] {
  const { rows, weak, strong } = pair;
  const scores = learn(pair, (row) => requestFeatures(row), gainOf(pair));
  const tested = testedRows(pair);
  const area = (list: readonly number[]): number =>
    apgr(
      tested.map((i) => list[i] ?? 0),
      tested.map((i) => weak[i] ?? 0),
      tested.map((i) => strong[i] ?? 0),
    );
  return [
    `${pair.name} (${tested.length} tested)`,
    figure(area(rows.map(({ question }) => -question.length))),
    figure(area(byCategory(pair))),
    `**${figure(area(scores))}**`,
    `${figure(area(weak), 2)} / ${figure(area(gainOf(pair).map((gain) => -gain)), 2)}`,
    figure(area(learn(pair, (row) => requestFeatures(row), dealt(gainOf(pair))))),
  ];
}

function gainOf({ weak, strong }: Pair): readonly number[] {
  return weak.map((value, index) => (strong[index] ?? 0) - value);
}

function dealt(values: readonly number[]): readonly number[] {
  const random = seededRandom(3);
  return values
    .map((value) => ({ value, key: random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value);
}

function range(pair: Pair, scores: readonly number[], other?: readonly number[]): readonly [number, number] {
  const at = (list: readonly number[], picks: readonly number[]): number[] => picks.map((pick) => list[pick] ?? 0);
  return bootstrap(
    pair.rows.length,
    (picks) => {
      const [weak, strong] = [at(pair.weak, picks), at(pair.strong, picks)];
      const area = apgr(at(scores, picks), weak, strong);
      return other === undefined ? area : area - apgr(at(other, picks), weak, strong);
    },
    300,
  );
}

function foldsOf({ folds = 5 }: Pair): number {
  return folds;
}

function foldOf(pair: Pair, index: number): number {
  return hashOf(`1:${pair.ids[index]}`) % (pair.learnFrom === undefined ? foldsOf(pair) : pair.rows.length);
}

/** Groups of rows: those to score, and those to learn from for them. */
function splitsOf(pair: Pair): ReadonlyArray<{ readonly fit: readonly number[]; readonly test: readonly number[] }> {
  const all = pair.rows.map((_, index) => index);
  if (pair.learnFrom !== undefined) {
    const order = all.toSorted((a, b) => foldOf(pair, a) - foldOf(pair, b));
    return [{ fit: order.slice(0, pair.learnFrom), test: order.slice(pair.learnFrom) }];
  }
  return Array.from({ length: foldsOf(pair) }, (_, fold) => ({
    fit: all.filter((index) => foldOf(pair, index) !== fold),
    test: all.filter((index) => foldOf(pair, index) === fold),
  }));
}

function testedRows(pair: Pair): readonly number[] {
  return splitsOf(pair).flatMap(({ test }) => test);
}

function byCategory(pair: Pair): readonly number[] {
  const scores: number[] = pair.rows.map(() => 0);
  const gains = gainOf(pair);
  for (const { fit, test } of splitsOf(pair)) {
    const overall = mean(fit.map((index) => gains[index] ?? 0));
    const sums = new Map<string, { sum: number; n: number }>();
    for (const index of fit) {
      const seen = sums.get(pair.rows[index]?.category ?? '') ?? { sum: 0, n: 0 };
      sums.set(pair.rows[index]?.category ?? '', { sum: seen.sum + (gains[index] ?? 0), n: seen.n + 1 });
    }
    for (const index of test) {
      const { sum, n } = sums.get(pair.rows[index]?.category ?? '') ?? { sum: 0, n: 0 };
      scores[index] = -(sum + overall * 10) / (n + 10);
    }
  }
  return scores;
}

/** Minus the expected gain of asking the strong model, out of fold: trees and a linear part on features, words and category. */
function learn(
  pair: Pair,
  featuresOf: (row: TableRow) => readonly number[],
  targets: readonly number[],
): readonly number[] {
  const scores: number[] = pair.rows.map(() => 0);
  const grams = pair.rows.map(({ question, answer }) => hashedGrams(`${question} ${answer}`, gramWidth));
  const dense = pair.rows.map(featuresOf);
  for (const { fit, test } of splitsOf(pair)) {
    const words = wordScores(grams, targets, fit, test);
    const categories = categoryScores(pair, targets, fit, test);
    const inputs = (index: number): number[] => [...(dense[index] ?? []), words[index] ?? 0, categories[index] ?? 0];
    const rows = {
      inputs: fit.map(inputs),
      // Trees want 0..1.
      targets: fit.map((index) => ((targets[index] ?? 0) + 1) / 2),
      weights: fit.map(() => 1),
    };
    const forest = growForest(rows, {
      trees: 100,
      leaf: Math.max(6, Math.round(fit.length / 200)),
      tried: 0.34,
      random: seededRandom(5),
    });
    const linear = fitLinear(rows, 30);
    for (const index of test) {
      const input = inputs(index);
      const flat = input.reduce((sum, value, column) => sum + value * (linear.weights[column] ?? 0), linear.bias);
      scores[index] = -(flat + mean(forest.map((tree) => leafOf(tree, input)))) / 2;
    }
  }
  return scores;
}

/** Ridge on hashed words; rows to learn from get scores of models that did not see them. */
function wordScores(
  grams: readonly ReadonlyMap<number, number>[],
  targets: readonly number[],
  fit: readonly number[],
  test: readonly number[],
): readonly number[] {
  const scores: number[] = [];
  const parts = 3;
  for (let part = 0; part < parts; part += 1) {
    const weights = ridgeOnWords(
      grams,
      targets,
      fit.filter((_, order) => order % parts !== part),
    );
    for (const index of fit.filter((_, order) => order % parts === part)) scores[index] = dot(grams[index], weights);
  }
  const weights = ridgeOnWords(grams, targets, fit);
  for (const index of test) scores[index] = dot(grams[index], weights);
  return scores;
}

/** Ridge regression by coordinate-wise averaged gradient steps; deterministic. */
function ridgeOnWords(
  grams: readonly ReadonlyMap<number, number>[],
  targets: readonly number[],
  fit: readonly number[],
): Float64Array {
  const weights = new Float64Array(gramWidth);
  const base = mean(fit.map((index) => targets[index] ?? 0));
  for (let round = 0; round < 12; round += 1) {
    const step = 0.5 / (1 + round * 0.3);
    for (const index of fit) {
      const gram = grams[index];
      if (gram === undefined) continue;
      const error = (targets[index] ?? 0) - base - dot(gram, weights);
      for (const [slot, value] of gram) {
        weights[slot] = (weights[slot] ?? 0) * (1 - step * wordRidge) + step * error * value;
      }
    }
  }
  return weights;
}

function dot(gram: ReadonlyMap<number, number> | undefined, weights: Float64Array): number {
  let sum = 0;
  for (const [slot, value] of gram ?? []) sum += value * (weights[slot] ?? 0);
  return sum;
}

function categoryScores(
  { rows }: Pair,
  targets: readonly number[],
  fit: readonly number[],
  test: readonly number[],
): readonly number[] {
  const scores: number[] = [];
  const overall = mean(fit.map((index) => targets[index] ?? 0));
  const sums = new Map<string, { sum: number; n: number }>();
  for (const index of fit) {
    const name = rows[index]?.category ?? '';
    const { sum, n } = sums.get(name) ?? { sum: 0, n: 0 };
    sums.set(name, { sum: sum + (targets[index] ?? 0), n: n + 1 });
  }
  for (const index of [...fit, ...test]) {
    const { sum, n } = sums.get(rows[index]?.category ?? '') ?? { sum: 0, n: 0 };
    scores[index] = (sum + overall * 10) / (n + 10);
  }
  return scores;
}

function leafOf(tree: Tree, inputs: readonly number[]): number {
  let node = 0;
  for (let feature = tree.feature[0] ?? -1; feature >= 0; feature = tree.feature[node] ?? -1)
    node = (inputs[feature] ?? 0) <= (tree.value[node] ?? 0) ? node + 1 : (tree.right[node] ?? 0);
  return tree.value[node] ?? 0;
}

function pairOf(data: URL, folder: string, weakName: string, strongName: string): Pair {
  const questions = readLines(new URL(`${folder}/questions.jsonl.gz`, data));
  const byId = (name: string): Map<unknown, Readonly<Record<string, unknown>>> =>
    new Map(readLines(new URL(`${folder}/${name}.jsonl.gz`, data)).map((row) => [row['id'], row]));
  const [weak, strong] = [byId(weakName), byId(strongName)];
  const both = questions.filter((row) => weak.has(row['id']) && strong.has(row['id']));
  const rightOf = (answers: typeof weak): number[] => both.map((row) => Number(answers.get(row['id'])?.['right']));
  return {
    name: `${weakName} → ${strongName}`,
    ids: both.map((row) => wordOf(row['id'])),
    rows: both.map((row) => {
      const answer = weak.get(row['id']) ?? {};
      const options = Array.isArray(row['options']) ? row['options'].map(String) : [];
      return {
        question: text(row['question']),
        options,
        category: text(row['category']),
        answer: typeof answer['text'] === 'string' ? answer['text'] : '',
        chars: Number(answer['chars'] ?? 0),
        isCut: Number(answer['cut'] ?? 0) > 0,
        result: wordOf(answer['pred']),
        isParsed: Number(answer['parsed']) === 1,
      };
    }),
    weak: rightOf(weak),
    strong: rightOf(strong),
  };
}

function routeLlm(data: URL, set: string, split: Pick<Pair, 'learnFrom' | 'folds'>): Pair {
  const folder = new URL(`routellm/${set}/`, data);
  const lines = readdirSync(folder).flatMap((name) => {
    const [head = [], ...rows] = readCsv(readFileSync(new URL(name, folder), 'utf8'));
    const [question, weak, strong] = ['prompt', 'mistralai/Mixtral-8x7B-Instruct-v0.1', 'gpt-4-1106-preview'].map(
      (column) => head.indexOf(column),
    );
    return rows.map((row) => ({
      category: name,
      question: row[question ?? 0] ?? '',
      weak: Number(row[weak ?? 1] === 'True'),
      strong: Number(row[strong ?? 2] === 'True'),
    }));
  });
  const empty = { answer: '', chars: 0, isCut: false, result: '', isParsed: false, options: [] };
  return {
    name: `RouteLLM ${set}`,
    ids: lines.map(({ question }, index) => `${index} ${question}`),
    rows: lines.map(({ question, category }) => ({ ...empty, question, category })),
    weak: lines.map(({ weak }) => weak),
    strong: lines.map(({ strong }) => strong),
    ...split,
  };
}

/** Comma-separated values with quotes (RFC 4180). */
function readCsv(content: string): readonly (readonly string[])[] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const [, quoted, plain = '', end] of content.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    if (row.length > 1) rows.push(row);
    row = [];
  }
  return rows;
}

const gramWidth = 1 << 16;
const wordRidge = 0.0005;

/** A final answer as text: tables hold letters and numbers. */
function wordOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
