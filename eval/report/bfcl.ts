import { createAnswerJudge } from '@lfo/router/src/confidence/answer-judge.ts';
import { probabilityOf } from '@lfo/router/src/confidence/heads/head.ts';
import { scoreCalls, scoreText, type Heads } from '@lfo/router/src/confidence/heads/score.ts';
import { textOf } from '@lfo/router/src/core/request.ts';
import type { Example } from '../fit/examples.ts';
import { fitHeads, shippedRecipes, type HeadRows } from '@lfo/router/src/confidence/fitting/fit-heads.ts';
import { readMaterial, rowsFor, testCopies, type Material } from '../fit/material.ts';
import { hashOf, seededRandom } from '@lfo/router/src/confidence/fitting/random.ts';
import { mean } from '../statistics.ts';
import { eventsOf } from '../trace-file.ts';
import { bootstrap, brier, calibrationError, figure, interval, rankAuroc, table } from './measures.ts';

/** Salts of the splits that are averaged; folds are a hash of salt and id. */
const salts = [1, 2, 3, 4];
const folds = 5;

/** Groups of answers that tables have a column for. */
const groups: readonly (readonly [string, (example: Example) => boolean])[] = [
  ['all', () => true],
  ['valid calls', ({ calls }) => calls !== undefined],
  ['single calls', ({ need }) => need === 'one-call'],
  ['single, valid', ({ need, calls }) => need === 'one-call' && calls !== undefined],
  ['none fits', ({ need }) => need === 'no-call'],
  ['single or none, valid', ({ need, calls }) => need !== 'more-calls' && calls !== undefined],
];

/** Tables of the function-calling traces: quality, baselines, calibration, changed copies, labels needed, the gate. */
export function bfclReport(data: URL): string {
  const material = readMaterial(data);
  const { examples } = material;
  const copies = testCopies(data, material);
  const runs = salts.map((salt) => outOfFold(material, copies, salt));
  const scores = examples.map((_, index) => mean(runs.map((run) => run.plain[index] ?? 0)));
  const rights = examples.map(({ isRight }) => isRight);
  return [
    qualityTable(material, runs, scores),
    gainLines(examples, scores),
    calibrationLines(runs, examples, scores),
    copiesTable(copies, runs, examples),
    gateLines(examples, scores),
    labelsTable(material),
    `Base rate ${figure(mean(rights.map(Number)))}, ${examples.length} answers, ${copies.size} kinds of changed copies.`,
  ].join('\n\n');
}

interface Run {
  readonly plain: readonly number[];
  readonly noScores: readonly number[];
  readonly shuffled: readonly number[];
  readonly values: readonly number[];
  /** Before anything is answered. */
  readonly asked: readonly number[];
  readonly copies: ReadonlyMap<string, readonly number[]>;
}

/** Scores of every answer by heads that never saw its id, copies and pairs of it included. */
function outOfFold(material: Material, copies: ReadonlyMap<string, readonly Example[]>, salt: number): Run {
  const { examples } = material;
  const plain: number[] = [];
  const noScores: number[] = [];
  const shuffled: number[] = [];
  const values: number[] = [];
  const asked: number[] = [];
  const changed = new Map([...copies.keys()].map((name): [string, number[]] => [name, []]));
  for (let fold = 0; fold < folds; fold += 1) {
    const isHeld = (id: string): boolean => hashOf(`${salt}:${id}`) % folds === fold;
    const rows = rowsFor(material, (id) => !isHeld(id));
    const heads = fitHeads(rows, shippedRecipes, salt);
    const blind = fitHeads(withShuffledTargets(rows, salt), shippedRecipes, salt);
    for (const [index, example] of examples.entries()) {
      if (!isHeld(example.id)) continue;
      plain[index] = scoreOf(heads, example);
      noScores[index] = scoreOf(heads, withoutNats(example));
      shuffled[index] = scoreOf(blind, example);
      asked[index] = probabilityOf(heads.request, example.asked) ?? 0.5;
      values[index] = example.calls === undefined ? 0 : (scoreCalls(heads, example.calls)?.values ?? 0.5);
      for (const [name, list] of changed) {
        const copy = copies.get(name)?.[index];
        if (copy !== undefined) list[index] = scoreOf(heads, copy);
      }
    }
  }
  return { plain, noScores, shuffled, values, asked, copies: changed };
}

/** Score of every answer by heads that never saw its id. */
export function outOfFoldScores(material: Material, salt: number): readonly number[] {
  const scores: number[] = [];
  for (let fold = 0; fold < folds; fold += 1) {
    const isHeld = (id: string): boolean => hashOf(`${salt}:${id}`) % folds === fold;
    const heads = fitHeads(
      rowsFor(material, (id) => !isHeld(id)),
      shippedRecipes,
      salt,
    );
    for (const [index, example] of material.examples.entries())
      if (isHeld(example.id)) scores[index] = scoreOf(heads, example);
  }
  return scores;
}

/** As the estimator scores a whole answer. */
function scoreOf(heads: Heads, example: Example): number {
  if (example.isFaulty) return 0;
  if (example.calls !== undefined) return scoreCalls(heads, example.calls)?.score ?? 0.5;
  return example.text === undefined ? 0.5 : (scoreText(heads, example.text, true) ?? 0.5);
}

const natsNames = /nats|^worst_value$|^worst_value_token$|^worst_after_value$|^worst_unsupported$|^uncertain_tokens$/;

function withoutNats(example: Example): Example {
  const strip = (features: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
    Object.fromEntries(Object.entries(features).filter(([name]) => !natsNames.test(name)));
  const { calls, text } = example;
  return {
    ...example,
    calls: calls && { values: calls.values.map(strip), answer: strip(calls.answer) },
    text: text && strip(text),
  };
}

function withShuffledTargets(rows: HeadRows, seed: number): HeadRows {
  const random = seededRandom(seed);
  const deal = <T extends { readonly target: number }>(list: readonly T[]): T[] => {
    const targets = list.map(({ target }) => ({ target, key: random() })).toSorted((a, b) => a.key - b.key);
    return list.map((row, index) => ({ ...row, target: targets[index]?.target ?? 0 }));
  };
  return {
    values: deal(rows.values),
    noToolFits: deal(rows.noToolFits),
    moreCalls: deal(rows.moreCalls),
    noCall: deal(rows.noCall),
    text: deal(rows.text),
    request: deal(rows.request),
  };
}

type Baseline = readonly [string, (example: Example) => number];

const logprobs = (example: Example): readonly number[] => example.trace.logprobs;
const baselines: readonly Baseline[] = [
  ['sum of log-probabilities', (example) => logprobs(example).reduce((sum, value) => sum + value, 0)],
  ['mean', (example) => mean(logprobs(example))],
  ['min', (example) => Math.min(...logprobs(example))],
  ['structure only', (example) => Number(!example.isFaulty)],
  ['question length', (example) => -textLength(example)],
  ['answer length', (example) => -logprobs(example).length],
  ['the hand-made judge before, limits lifted (in-sample)', judgeBefore],
];

function textLength({ request }: Example): number {
  return request.messages.map(textOf).join('').length;
}

function judgeBefore({ trace, request }: Example): number {
  const session = createAnswerJudge().begin({
    request,
    threshold: 0,
    model: { model: trace.model },
    delivery: 'stream',
  });
  for (const event of eventsOf(trace, request.tools)) session.observe(event);
  return session.end().score ?? 0.5;
}

function qualityTable({ examples }: Material, runs: readonly Run[], scores: readonly number[]): string {
  const row = (name: string, lists: readonly (readonly number[])[], hasBrier: boolean): readonly string[] => [
    name,
    ...groups.map(([, belongs]) => figure(mean(lists.map((list) => areaOf(examples, list, belongs))))),
    hasBrier ? figure(mean(lists.map((list) => brierOf(examples, list)))) : '–',
  ];
  const intervals = groups.map(([, belongs]) => {
    const members = examples.flatMap((example, index) => (belongs(example) ? index : []));
    return interval(bootstrap(members.length, (picks) => areaOfPicks(examples, scores, members, picks)));
  });
  return table(
    ['AUROC, out of fold', ...groups.map(([name]) => name), 'Brier'],
    [
      row(
        '**shipped recipe**',
        runs.map((run) => run.plain),
        true,
      ),
      ['its 95 % interval', ...intervals, ''],
      row(
        'without scores',
        runs.map((run) => run.noScores),
        true,
      ),
      row(
        'by the request alone',
        runs.map((run) => run.asked),
        true,
      ),
      row(
        'V alone',
        runs.map((run) => run.values),
        false,
      ),
      ...baselines.map(([name, score]) =>
        row(name, [examples.map((example) => score(example))], name.startsWith('the hand-made')),
      ),
      row(
        'fitted on shuffled labels',
        runs.map((run) => run.shuffled),
        false,
      ),
    ],
  );
}

function gainLines(examples: readonly Example[], scores: readonly number[]): string {
  const rows = baselines.map(([name, score]) => {
    const other = examples.map((example) => score(example));
    return [
      name,
      ...groups.map(([, belongs]) => {
        const members = examples.flatMap((example, index) => (belongs(example) ? index : []));
        const gain = areaOf(examples, scores, belongs) - areaOf(examples, other, belongs);
        const range = bootstrap(
          members.length,
          (picks) => areaOfPicks(examples, scores, members, picks) - areaOfPicks(examples, other, members, picks),
        );
        return `${gain > 0 ? '+' : ''}${figure(gain)} ${interval(range)}`;
      }),
    ];
  });
  return `Paired gain over each baseline, bootstrap over ids (1,000 resamples, 95 %):\n\n${table(['gain over', ...groups.map(([name]) => name)], rows)}`;
}

function calibrationLines(runs: readonly Run[], examples: readonly Example[], scores: readonly number[]): string {
  const rows = runs.map((run) => examples.map(({ isRight }, index) => ({ score: run.plain[index] ?? 0, isRight })));
  const errors = rows.map(calibrationError);
  const base = mean(examples.map(({ isRight }) => Number(isRight)));
  const loss = mean(rows.map(brier));
  const order = scores.map((_, index) => index).toSorted((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
  const shares = [0.1, 0.2, 0.3, 0.4, 0.5];
  const wrong = shares.map((share) => {
    const top = order.slice(0, Math.round(share * order.length));
    return figure(mean(top.map((index) => Number(examples[index]?.isRight !== true))), 2);
  });
  return [
    `Calibration: Brier ${figure(loss)} (base ${figure(base * (1 - base))}, skill ${figure(1 - loss / (base * (1 - base)), 2)});`,
    `ECE ${figure(mean(errors.map(({ error }) => error)))} where a perfect score of the same values would show about`,
    `${figure(mean(errors.map(({ floor }) => floor)))}. Wrong among the most confident 10 / 20 / 30 / 40 / 50 %: ${wrong.join(' / ')}.`,
    'The scores are too low on this benchmark on purpose: the priors of I and U are .1, here they are .16 and .39.',
  ].join(' ');
}

function copiesTable(
  copies: ReadonlyMap<string, readonly Example[]>,
  runs: readonly Run[],
  examples: readonly Example[],
): string {
  const columns = groups.filter(([name]) => name === 'all' || name === 'single calls' || name === 'none fits');
  const plain = columns.map(([, belongs]) => mean(runs.map((run) => areaOf(examples, run.plain, belongs))));
  const rows = [...copies.keys()].map((name) => {
    const lists = runs.map((run) => run.copies.get(name) ?? []);
    return [
      name,
      ...columns.flatMap(([, belongs], index) => {
        const area = mean(lists.map((list) => areaOf(examples, list, belongs)));
        return [figure(area), figure((plain[index] ?? 0) - area)];
      }),
      figure(mean(lists.map((list) => brierOf(examples, list)))),
    ];
  });
  const head = ['changed copies', ...columns.flatMap(([name]) => [name, 'drop']), 'Brier'];
  return `Copies of kinds that the fit never saw (same answers and log-probabilities, out of fold):\n\n${table(head, rows)}`;
}

/** At the default threshold, by out-of-fold scores: calls are judged whole, texts by their opening. */
function gateLines(examples: readonly Example[], scores: readonly number[]): string {
  const rows = [0.5, 0.6, 0.7, 0.8, 0.9].map((threshold) => {
    const [stays, goes] = [true, false].map((isLocal) =>
      examples.filter((_, index) => (scores[index] ?? 0) >= threshold === isLocal),
    );
    const right = (list: readonly Example[] | undefined): string =>
      figure(mean((list ?? []).map(({ isRight }) => Number(isRight))), 2);
    return [String(threshold), figure((stays?.length ?? 0) / examples.length, 2), right(stays), right(goes)];
  });
  return table(['threshold', 'stays local', 'right of what stays', 'right of what is escalated'], rows);
}

function labelsTable(material: Material): string {
  const counts = [50, 100, 200, 400];
  const columns = groups.filter(([name]) => name === 'all' || name === 'single calls');
  const rows = counts.map((count) => {
    const areas = salts.map((salt) => learningRun(material, salt, count));
    return [
      String(count),
      ...columns.map(([, belongs]) => figure(mean(areas.map((scores) => areaOf(material.examples, scores, belongs))))),
    ];
  });
  return table(['labelled answers', ...columns.map(([name]) => name)], rows);
}

/** Out of fold again, with so many labelled answers in each fit. */
function learningRun(material: Material, salt: number, count: number): readonly number[] {
  const scores: number[] = [];
  for (let fold = 0; fold < folds; fold += 1) {
    const isHeld = (id: string): boolean => hashOf(`${salt}:${id}`) % folds === fold;
    const known = new Set(
      material.examples
        .filter(({ id }) => !isHeld(id))
        .toSorted((a, b) => hashOf(`draw ${salt} ${a.id}`) - hashOf(`draw ${salt} ${b.id}`))
        .slice(0, count)
        .map(({ id }) => id),
    );
    const heads = fitHeads(
      rowsFor(material, (id) => known.has(id)),
      shippedRecipes,
      salt,
    );
    for (const [index, example] of material.examples.entries())
      if (isHeld(example.id)) scores[index] = scoreOf(heads, example);
  }
  return scores;
}

function areaOf(
  examples: readonly Example[],
  scores: readonly number[],
  belongs: (example: Example) => boolean,
): number {
  const members = examples.flatMap((example, index) => (belongs(example) ? index : []));
  return rankAuroc(
    members.map((index) => scores[index] ?? 0),
    members.map((index) => examples[index]?.isRight ?? false),
  );
}

function areaOfPicks(
  examples: readonly Example[],
  scores: readonly number[],
  members: readonly number[],
  picks: readonly number[],
): number {
  const picked = picks.map((pick) => members[pick] ?? 0);
  return rankAuroc(
    picked.map((index) => scores[index] ?? 0),
    picked.map((index) => examples[index]?.isRight ?? false),
  );
}

function brierOf(examples: readonly Example[], scores: readonly number[]): number {
  return brier(examples.map(({ isRight }, index) => ({ score: scores[index] ?? 0, isRight })));
}
