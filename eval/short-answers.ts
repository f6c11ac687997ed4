import { readFileSync } from 'node:fs';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import { isJsonObject, parseJson, type JsonObject } from '@lfo/router/src/core/json.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { judgeAnswer, shippedThreshold } from './judge-answer.ts';
import { auroc, mean, shuffledAuroc, tableRow } from './statistics.ts';

// How well the text score tells right from wrong on 120 short answers (60 questions, with and without a system prompt)
// of Qwen2.5-Coder-0.5B-Instruct Q4_K_M at temperature 0. The score's constants come from these rows: in-sample.

const rows = readFileSync(new URL('short-answers.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .map(parseJson)
  .filter(isJsonObject);
const judged = rows.map(judge);
const by = (score: (row: (typeof judged)[number]) => number): number =>
  auroc(judged.map((row) => ({ score: score(row), isRight: row.isRight })));
const first16 = (row: (typeof judged)[number]): readonly number[] => row.logprobs.slice(0, 16);
const head = ['LFO', 'mean ℓ', 'sum ℓ', 'min ℓ', 'mean ℓ of 16', 'first token', 'length', 'shuffled'];
console.log(`${tableRow(head)}\n${tableRow(head.map(() => '---'))}`);
console.log(
  tableRow([
    by((row) => row.score ?? 0.5),
    by((row) => mean(row.logprobs)),
    by((row) => mean(row.logprobs) * row.logprobs.length),
    by((row) => Math.min(...row.logprobs)),
    by((row) => mean(first16(row))),
    by((row) => row.logprobs[0] ?? 0),
    by((row) => -row.logprobs.length),
    shuffledAuroc(judged.map((row) => ({ score: row.score ?? 0.5, isRight: row.isRight }))),
  ]),
);
const committed = judged.filter((row) => row.isCommitted);
const right = (group: typeof judged): number => mean(group.map((row) => Number(row.isRight)));
console.log(
  `\ncommitted at ${shippedThreshold}: ${committed.length} of ${judged.length}; right ${right(committed).toFixed(2)}, ` +
    `right among escalated ${right(judged.filter((row) => !row.isCommitted)).toFixed(2)}; held on average ` +
    `${mean(committed.map((row) => row.heldTokens)).toFixed(1)} of ${mean(committed.map((row) => row.tokens)).toFixed(1)} tokens; ` +
    `escalated after ${mean(judged.filter((row) => !row.isCommitted).map((row) => row.heldTokens)).toFixed(1)}`,
);

function judge(row: JsonObject) {
  const logprobs = (Array.isArray(row['logprobs']) ? row['logprobs'] : []).filter((value) => typeof value === 'number');
  const question = typeof row['question'] === 'string' ? row['question'] : '';
  const verdict = judgeAnswer(request(question), events(logprobs));
  return { ...verdict, logprobs, isRight: row['isRight'] === true };
}

function events(logprobs: readonly number[]): readonly InferenceEvent[] {
  const usage = { promptTokens: 0, completionTokens: logprobs.length };
  const tokens = logprobs.flatMap((logprob): readonly InferenceEvent[] => [
    { type: 'token-scores', about: 'text', scores: [{ token: 'x', logprob }] },
    { type: 'text-delta', text: 'x' },
  ]);
  return [{ type: 'start', model: 'trace' }, ...tokens, { type: 'finish', reason: 'stop', usage }];
}

function request(question: string): ChatRequest {
  return {
    id: 'short-answer',
    model: 'lfo-auto',
    messages: [{ role: 'user', content: [{ type: 'text', text: question }] }],
    tools: [],
    sampling: { stop: [], logprobs: false },
    stream: true,
    hints: { mode: 'auto' },
    bodyBytes: 200,
  };
}
