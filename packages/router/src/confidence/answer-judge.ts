import type {
  ConfidenceEstimator,
  ConfidenceSession,
  FinalVerdict,
  JudgedAnswer,
  Verdict,
} from '../core/confidence.ts';
import { mayCall, mustCall } from '../core/can-serve.ts';
import type { FinishEvent, InferenceEvent } from '../core/events.ts';
import { fourDigits } from '../core/four-digits.ts';
import { isJsonObject, type JsonObject, parseJson } from '../core/json.ts';
import type { Reason } from '../core/reason.ts';
import type { ChatRequest } from '../core/request.ts';
import { beginsLikeCall, isPromisedFormat } from './held-part.ts';
import { horizonTokens, judgeLogprobs, logistic, type LogprobJudge } from './logprob-judge.ts';
import { schemaViolation } from './schema-check.ts';
import { judgeStructure, type StructureSigns, type WrittenCall } from './structural-judge.ts';

/** The shipped estimator: tool calls by structure first and then by probability, text by probability. */
export function createAnswerJudge(): ConfidenceEstimator {
  return { name: judgeName, scoredTokens: horizonTokens, begin: (judged) => new AnswerSession(judged) };
}

const judgeName = 'answer-judge';

/**
 * Score 0..1 of valid tool calls: total uncertainty (it beats its mean), arguments that rest on nothing, and names and
 * numbers of the question that no call takes up (the sign of a missing second call). `surpriseNats` is undefined where
 * the engine gives no scores; structure is evidence enough then.
 */
function toolCallScore(signs: StructureSigns, surpriseNats: number | undefined): number {
  const { bias, surprise, ungrounded, uncoveredTerms, fewCalls, repaired } = callWeights;
  return logistic(
    bias -
      surprise * Math.min(surpriseNats ?? typicalCallNats, maxCallNats) -
      ungrounded * (1 - (signs.grounded ?? 1)) -
      uncoveredTerms * (signs.uncoveredTerms ?? 0) -
      fewCalls * Number(signs.fewCalls) -
      repaired * Number(signs.repaired),
  );
}

class AnswerSession implements ConfidenceSession {
  readonly #request: ChatRequest;
  readonly #threshold: number;
  readonly #structure: ReturnType<typeof judgeStructure>;
  readonly #textScores: LogprobJudge;
  readonly #callScores = judgeLogprobs('text');
  readonly #open = new Map<number, { readonly name: string; json: string }>();
  readonly #calls: WrittenCall[] = [];
  #text = '';
  #textDeltas = 0;
  #isReasoning = false;
  #handOff = false;
  #fault: Reason | undefined;
  #finish: FinishEvent | undefined;
  #signs: StructureSigns | undefined;

  constructor({ request, threshold }: JudgedAnswer) {
    this.#request = request;
    this.#threshold = threshold;
    this.#structure = judgeStructure(request);
    this.#textScores = judgeLogprobs(mayCall(this.#request) ? 'no-call' : 'text');
  }

  observe(event: InferenceEvent): Verdict {
    this.#take(event);
    if (this.#finish !== undefined) return this.end();
    if (this.#fault !== undefined) return { type: 'escalate', score: 0, reason: this.#fault };
    if (this.#open.size > 0 || this.#calls.length > 0 || this.#isWorthlessInPart()) return { type: 'hold' };
    return this.#judgeRunningText();
  }

  end(): FinalVerdict {
    const fault = this.#fault ?? this.#faultAtEnd();
    if (fault !== undefined) return { type: 'escalate', score: 0, reason: fault };
    if (this.#calls.length > 0) return this.#judgeCalls();
    const { score } = this.#textScores;
    if (score !== undefined) return this.#byThreshold(score, 'low_confidence');
    return { type: this.#handOff ? 'escalate' : 'commit', reason: this.#handOff ? 'engine_handed_off' : 'no_evidence' };
  }

  evidence(): JsonObject {
    const { score, tokens, surprise, worst } = this.#textScores;
    const signs = this.#calls.length === 0 ? undefined : this.#readSigns();
    return {
      judge: judgeName,
      ...(score !== undefined && {
        text_tokens: tokens,
        text_nats: fourDigits(surprise),
        text_worst_nats: worst.map(fourDigits),
      }),
      ...(this.#callScores.tokens > 0 && {
        call_tokens: this.#callScores.tokens,
        call_nats: fourDigits(this.#callScores.surprise),
      }),
      ...(signs !== undefined && {
        calls: this.#calls.length,
        grounded: signs.grounded === undefined ? null : fourDigits(signs.grounded),
        left_out: signs.uncoveredTerms === undefined ? null : fourDigits(signs.uncoveredTerms),
        few_calls: signs.fewCalls,
        repaired: signs.repaired,
      }),
      ...(this.#handOff && { handed_off: true }),
    };
  }

  #take(event: InferenceEvent): void {
    switch (event.type) {
      case 'text-delta':
      case 'refusal-delta':
        this.#isReasoning = false;
        this.#textDeltas++;
        this.#text += event.text;
        break;
      case 'reasoning-delta':
        this.#isReasoning = true;
        break;
      case 'tool-call-start':
        this.#open.set(event.index, { name: event.name, json: '' });
        if (!this.#request.tools.some((tool) => tool.name === event.name)) this.#fault ??= 'unknown_tool';
        break;
      case 'tool-call-delta': {
        const call = this.#open.get(event.index);
        if (call !== undefined) call.json += event.json;
        break;
      }
      case 'tool-call-end':
        this.#endCall(event.index, event.repaired ?? false);
        break;
      case 'token-scores':
        if (event.about === 'tool-call') this.#callScores.observe(event.scores);
        else if (!this.#isReasoning)
          this.#textScores.observe(event.scores.filter(({ label }) => label !== 'reasoning'));
        break;
      case 'self-report':
        this.#handOff ||= event.handOff ?? false;
        break;
      case 'finish':
        this.#finish = event;
        break;
      case 'start':
      case 'image':
        break;
    }
  }

  #endCall(index: number, repaired: boolean): void {
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    const call = { ...open, repaired };
    this.#calls.push(call);
    this.#signs = undefined;
    this.#fault ??= this.#structure.faultOf(call) ?? this.#structure.faultOfAll(this.#calls);
  }

  /** The score of text only falls: below the threshold is final, above it counts once it is settled. */
  #judgeRunningText(): Verdict {
    const { score, isSettled } = this.#textScores;
    if (score === undefined) {
      const scoresAreOverdue = this.#textDeltas >= patienceDeltas && !this.#handOff;
      return scoresAreOverdue ? { type: 'commit', reason: 'no_evidence' } : { type: 'hold' };
    }
    if (score < this.#threshold) return { type: 'escalate', score, reason: 'low_confidence' };
    return isSettled && this.#text !== '' ? { type: 'commit', score, reason: 'confident' } : { type: 'hold' };
  }

  /** What the gate holds to the answer's end: a promised format, and text that begins like an unread call. */
  #isWorthlessInPart(): boolean {
    return isPromisedFormat(this.#request) || (mayCall(this.#request) && beginsLikeCall(this.#text));
  }

  #faultAtEnd(): Reason | undefined {
    const reason = this.#finish?.reason;
    if (this.#open.size > 0) return reason === undefined || reason === 'length' ? 'hold_limit' : 'tool_call_unparsed';
    if (this.#calls.length > 0) return undefined;
    // At a limit the rest is still to come: nothing is missing yet.
    if (reason === undefined) return this.#isWorthlessInPart() ? 'hold_limit' : undefined;
    if (mustCall(this.#request)) return reason === 'length' ? 'hold_limit' : 'tool_call_unparsed';
    if (this.#text.trim() === '') return 'empty_answer';
    if (!this.#fitsFormat()) return reason === 'length' ? 'hold_limit' : 'schema_violation';
    if (this.#isCutOff()) return 'truncated_answer';
    return mayCall(this.#request) && beginsLikeCall(this.#text) && /"(?:name|function)"/.test(this.#text)
      ? 'tool_call_unparsed'
      : undefined;
  }

  /** Cut by the engine's own limits; reaching the client's `max_tokens` is what the client asked for. */
  #isCutOff(): boolean {
    const finish = this.#finish;
    if (finish?.reason !== 'length') return false;
    return finish.usage.completionTokens < (this.#request.sampling.maxTokens ?? Infinity);
  }

  #fitsFormat(): boolean {
    const format = this.#request.responseFormat;
    if (format === undefined || format.type === 'text') return true;
    const value = parseJson(this.#text);
    if (value === undefined) return false;
    if (format.type === 'json_object') return isJsonObject(value);
    return !('schema' in format) || format.schema === undefined || schemaViolation(value, format.schema) === undefined;
  }

  #judgeCalls(): FinalVerdict {
    const signs = this.#readSigns();
    const { surprise, tokens } = this.#callScores;
    const score = toolCallScore(signs, tokens === 0 ? undefined : surprise);
    const isInvented = (signs.grounded ?? 1) < 0.5;
    return this.#byThreshold(score, isInvented ? 'ungrounded_arguments' : 'low_confidence');
  }

  /** Reading question and calls takes time: verdict and evidence share it. */
  #readSigns(): StructureSigns {
    return (this.#signs ??= this.#structure.signsOf(this.#calls));
  }

  #byThreshold(score: number, belowReason: Reason): FinalVerdict {
    return score >= this.#threshold
      ? { type: 'commit', score, reason: 'confident' }
      : { type: 'escalate', score, reason: belowReason };
  }
}

/** Text pieces without a score after which none is expected to come. */
const patienceDeltas = 4;
/** Uncalibrated: chosen by hand before there was a fit. */
const callWeights = {
  bias: 3.5,
  surprise: 1.2,
  ungrounded: 3,
  uncoveredTerms: 2.2,
  fewCalls: 3,
  repaired: 0.5,
} as const;
const typicalCallNats = 1;
const maxCallNats = 12;
