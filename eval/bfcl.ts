import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import { judgeAnswer, shippedThreshold } from './judge-answer.ts';
import { auroc, mean, shuffledAuroc, tableRow } from './statistics.ts';
import { referenceDataUrl } from '@lfo/testing/reference-data.ts';

import { categories, readTraces, type TraceCase } from './traces.ts';

// How well the shipped score tells right from wrong function calls, against simpler scores, on recorded answers.

interface Row {
  readonly trace: TraceCase;
  readonly score: number;
  readonly structure: number;
  readonly isCommitted: boolean;
  readonly heldTokens: number;
  readonly tokens: number;
}

const data = referenceDataUrl();
if (data === undefined) {
  console.log('skipped: the reference data is not on this machine');
} else {
  const rows = readTraces(data).map(judge);
  printQuality(rows);
  printGate(rows);
}

function judge(trace: TraceCase): Row {
  const { score, ...gate } = judgeAnswer(trace.request, trace.events);
  const withoutScores = trace.events.filter((event: InferenceEvent) => event.type !== 'token-scores');
  const structure = judgeAnswer(trace.request, withoutScores);
  return { trace, score: score ?? 0.5, structure: structure.score ?? 0.5, ...gate };
}

function printQuality(rows: readonly Row[]): void {
  const head = ['answers', 'n', 'right', 'LFO', 'structure only', 'sum ℓ', 'mean ℓ', 'min ℓ', 'length', 'shuffled'];
  console.log(`${tableRow(head)}\n${tableRow(head.map(() => '---'))}`);
  const groups: readonly (readonly [string, readonly string[]])[] = [
    ...categories.map((category) => [category, [category]] as const),
    ['single calls', ['simple_python', 'multiple']],
    ['all', categories],
  ];
  for (const [name, members] of groups) {
    const group = rows.filter((row) => members.includes(row.trace.category));
    const by = (score: (row: Row) => number): number =>
      auroc(group.map((row) => ({ score: score(row), isRight: row.trace.isRight })));
    console.log(
      tableRow([
        name,
        group.length,
        mean(group.map((row) => Number(row.trace.isRight))),
        by((row) => row.score),
        by((row) => row.structure),
        by((row) => sum(row.trace.logprobs)),
        by((row) => mean(row.trace.logprobs)),
        by((row) => Math.min(...row.trace.logprobs)),
        by((row) => -row.trace.logprobs.length),
        shuffledAuroc(group.map((row) => ({ score: row.score, isRight: row.trace.isRight }))),
      ]),
    );
  }
}

function printGate(rows: readonly Row[]): void {
  const head = [
    `at threshold ${shippedThreshold}`,
    'n',
    'committed',
    'right if committed',
    'right if escalated',
    'tokens held',
    'of tokens',
    'share',
  ];
  console.log(`\n${tableRow(head)}\n${tableRow(head.map(() => '---'))}`);
  const isCall = (row: Row): boolean => row.trace.events.some((event) => event.type === 'tool-call-start');
  const kinds: readonly (readonly [string, (row: Row) => boolean])[] = [
    ['tool calls', isCall],
    ['text', (row) => !isCall(row)],
    ['all', () => true],
  ];
  for (const [name, belongs] of kinds) {
    const group = rows.filter(belongs);
    const right = (committed: boolean): number =>
      mean(group.filter((row) => row.isCommitted === committed).map((row) => Number(row.trace.isRight)));
    const committed = group.filter((row) => row.isCommitted);
    console.log(
      tableRow([
        name,
        group.length,
        committed.length / group.length,
        right(true),
        right(false),
        mean(committed.map((row) => row.heldTokens)),
        mean(committed.map((row) => row.tokens)),
        mean(committed.map((row) => row.heldTokens / row.tokens)),
      ]),
    );
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
