import type { JsonValue } from '@lfo/router/src/core/json.ts';
import type { ChatRequest } from '@lfo/router/src/core/request.ts';
import { callFeatures, type CallFeatures } from '@lfo/router/src/confidence/features/call-features.ts';
import type { Features } from '@lfo/router/src/confidence/features/features.ts';
import { viewRequest } from '@lfo/router/src/confidence/features/request-view.ts';
import { requestFeatures } from '@lfo/router/src/confidence/features/request-features.ts';
import { matchFeatures, openingFeatures } from '@lfo/router/src/confidence/features/text-features.ts';
import type { WordWeights } from '@lfo/router/src/confidence/features/word-weights.ts';
import { AnswerReader } from '@lfo/router/src/confidence/heads/answer-reader.ts';
import { judgeStructure } from '@lfo/router/src/confidence/structural-judge.ts';
import type { HeadRows } from '@lfo/router/src/confidence/fitting/fit-heads.ts';
import { areRight, isExpected } from '../bfcl-judge.ts';
import type { Changed } from '../copies.ts';
import { callsOf, eventsOf, type Trace } from '../trace-file.ts';

/** What a case asks for, by its category: the cause why a call would be wrong. */
export type Need = 'one-call' | 'more-calls' | 'no-call';

/** A judged answer with its features, ready to fit or to score. */
export interface Example {
  readonly id: string;
  readonly category: string;
  readonly need: Need;
  readonly isRight: boolean;
  readonly trace: Trace;
  readonly request: ChatRequest;
  /** Neither text nor calls could be judged by heads: a structural fault, or nothing at all. */
  readonly isFaulty: boolean;
  readonly calls: CallFeatures | undefined;
  /** Whether each call equals one of the expected ones. */
  readonly areValuesRight: readonly boolean[];
  readonly text: Features | undefined;
  /** Of the request alone. */
  readonly asked: Features;
}

/** Judges one recorded answer against the leaderboard's truth and reads its features. */
export function exampleOf(
  trace: Trace,
  request: ChatRequest,
  category: string,
  truth: readonly JsonValue[] | undefined,
  weights: WordWeights,
  scores = true,
): Example {
  const events = eventsOf(trace, request.tools, scores);
  const reader = new AnswerReader(request.tools);
  for (const event of events) reader.observe(event);
  const calls = callsOf(events);
  const view = viewRequest(request, weights);
  const structure = judgeStructure(request);
  const written = reader.calls;
  const isFaulty =
    reader.hasOpenCall ||
    written.some((call) => structure.faultOf(call) !== undefined) ||
    structure.faultOfAll(written) !== undefined ||
    (written.length === 0 && reader.text.trim() === '');
  const isCall = calls.length > 0;
  return {
    id: trace.id,
    category,
    need: needOf(category),
    isRight: areRight(calls, truth, request.tools),
    trace,
    request,
    isFaulty,
    calls: isCall && !isFaulty ? callFeatures(view, reader.readCalls, reader.callNats()) : undefined,
    areValuesRight: calls.map((call) => (truth ?? []).some((one) => isExpected(call, one, request.tools))),
    text: isCall ? undefined : { ...openingFeatures(reader.opening), ...matchFeatures(view) },
    asked: requestFeatures(view),
  };
}

function needOf(category: string): Need {
  if (category.includes('irrelevance')) return 'no-call';
  return category.includes('parallel') ? 'more-calls' : 'one-call';
}

/** The same answer to a changed request: what was right stays right. */
export function changedExample(one: Example, changed: Changed, weights: WordWeights): Example {
  const example = exampleOf(changed.trace, changed.request, one.category, undefined, weights);
  return { ...example, isRight: one.isRight, areValuesRight: one.areValuesRight };
}

/** Adds the rows that judged answers give, each counting `weight`. */
export function addRows(rows: HeadRows, examples: readonly Example[], weight: number): void {
  for (const { calls, text, need, areValuesRight, isRight, asked } of examples) {
    rows.request.push({ features: asked, target: Number(isRight), weight });
    const opening = text?.['opening_nats'];
    if (opening !== undefined)
      rows.noCall.push({ features: { opening_nats: opening }, target: Number(isRight), weight });
    if (calls === undefined) continue;
    if (need !== 'no-call')
      for (const [index, features] of calls.values.entries())
        rows.values.push({ features, target: Number(areValuesRight[index] ?? false), weight });
    if (need !== 'more-calls')
      rows.noToolFits.push({ features: calls.answer, target: Number(need === 'no-call'), weight });
    if (need !== 'no-call')
      rows.moreCalls.push({ features: calls.answer, target: Number(need === 'more-calls'), weight });
  }
}
