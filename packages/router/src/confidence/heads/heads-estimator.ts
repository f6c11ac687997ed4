import type {
  ConfidenceEstimator,
  ConfidenceSession,
  FinalVerdict,
  JudgedAnswer,
  Verdict,
} from '../../core/confidence.ts';
import { mayCall, mustCall } from '../../core/can-serve.ts';
import type { InferenceEvent } from '../../core/events.ts';
import { fourDigits } from '../../core/four-digits.ts';
import { isJsonObject, type JsonObject, parseJson } from '../../core/json.ts';
import type { Reason } from '../../core/reason.ts';
import type { ChatRequest } from '../../core/request.ts';
import { callFeatures, type CallFeatures } from '../features/call-features.ts';
import { featuresVersion, type Features } from '../features/features.ts';
import { viewRequest, type RequestView } from '../features/request-view.ts';
import { horizonTokens, matchFeatures, openingFeatures } from '../features/text-features.ts';
import type { WordWeights } from '../features/word-weights.ts';
import { beginsLikeCall, isPromisedFormat } from '../held-part.ts';
import { schemaViolation } from '../schema-check.ts';
import { judgeStructure } from '../structural-judge.ts';
import { AnswerReader } from './answer-reader.ts';
import { chooseCalibration, type Calibration, type ChosenCalibration } from './calibration.ts';
import { logistic, logit } from './head.ts';
import { scoreCalls, scoreText, type CallScore } from './score.ts';

/** What the estimator judges with. */
export interface HeadsOptions {
  /** Asked for each answer. Own ones first; the last stands in, as a prior, for models that none was fitted for. Empty: nothing is scored. */
  readonly calibrations: readonly Calibration[];
  readonly weights: WordWeights;
}

/**
 * Judges by heads fitted on recorded answers: calls by structure first, then by the probability that their values are
 * right, that a tool fits and that no more calls are needed; text by its opening, or, where a tool could have been
 * called, by whether one fits. Without scores the heads that need none decide.
 */
export function headsEstimator(options: HeadsOptions): ConfidenceEstimator {
  return {
    name: estimatorName,
    scoredTokens: horizonTokens,
    begin: (judged) => new HeadsSession(judged, chooseCalibration(options.calibrations, judged.model), options.weights),
  };
}

class HeadsSession implements ConfidenceSession {
  readonly #request: ChatRequest;
  readonly #threshold: number;
  readonly #exitBelow: number;
  readonly #chosen: ChosenCalibration | undefined;
  readonly #weights: WordWeights;
  readonly #structure: ReturnType<typeof judgeStructure>;
  readonly #reader: AnswerReader;
  #view: RequestView | undefined;
  /** Of the request alone: the same for every token of a text. */
  #match: Features | undefined;
  #calls: { readonly features: CallFeatures; readonly score: CallScore | undefined } | undefined;
  #fault: Reason | undefined;

  constructor(judged: JudgedAnswer, chosen: ChosenCalibration | undefined, weights: WordWeights) {
    const { request, threshold, exitBelow = threshold } = judged;
    this.#request = request;
    this.#threshold = threshold;
    this.#exitBelow = exitBelow;
    this.#chosen = chosen;
    this.#weights = weights;
    this.#structure = judgeStructure(request);
    this.#reader = new AnswerReader(request.tools);
  }

  observe(event: InferenceEvent): Verdict {
    const ended = this.#reader.observe(event);
    this.#calls = undefined;
    if (event.type === 'tool-call-start' && !this.#request.tools.some((tool) => tool.name === event.name))
      this.#fault ??= 'unknown_tool';
    if (ended !== undefined)
      this.#fault ??= this.#structure.faultOf(ended) ?? this.#structure.faultOfAll(this.#reader.calls);
    if (this.#reader.finish !== undefined) return this.end();
    if (this.#fault !== undefined) return { type: 'escalate', score: 0, reason: this.#fault };
    if (ended !== undefined) return this.#judgeEndedCall();
    if (this.#reader.hasOpenCall || this.#reader.calls.length > 0 || this.#isWorthlessInPart()) return { type: 'hold' };
    return this.#judgeRunningText();
  }

  end(): FinalVerdict {
    const fault = this.#fault ?? this.#faultAtEnd();
    if (fault !== undefined) return { type: 'escalate', score: 0, reason: fault };
    const isCall = this.#reader.calls.length > 0;
    const score = isCall ? this.#readCalls().score?.score : this.#scoreText();
    if (score !== undefined) return this.#byThreshold(score, isCall ? this.#callReason() : 'low_confidence');
    const { handOff } = this.#reader;
    return { type: handOff ? 'escalate' : 'commit', reason: handOff ? 'engine_handed_off' : 'no_evidence' };
  }

  evidence(): JsonObject {
    const { calls, opening } = this.#reader;
    const read = calls.length === 0 ? undefined : this.#readCalls();
    const text = read === undefined && this.#reader.text !== '' ? this.#textFeatures() : undefined;
    const score = read === undefined && text !== undefined ? this.#scoreText() : undefined;
    return {
      judge: estimatorName,
      features_version: featuresVersion,
      ...(this.#chosen !== undefined && { calibration: this.#chosen.calibration.hash }),
      ...(this.#chosen?.isPrior === true && { prior: true }),
      ...(calls.length > 0 && { calls: calls.length, repaired: calls.some((call) => call.repaired) }),
      ...(read?.score !== undefined && {
        values: fourDigits(read.score.values),
        no_tool_fits: fourDigits(read.score.noToolFits),
        more_calls: fourDigits(read.score.moreCalls),
      }),
      ...(read !== undefined && rounded(read.features.answer)),
      ...(read !== undefined && listed(read.features.values)),
      ...(opening !== undefined && { opening_worst_nats: opening.worst.map(fourDigits) }),
      ...(text !== undefined && rounded(text)),
      ...(score !== undefined && { text_score: fourDigits(score) }),
      ...(this.#reader.handOff && { handed_off: true }),
    };
  }

  /** The score of calls is at most V of those that have ended: once that is too low the answer need not go on. */
  #judgeEndedCall(): Verdict {
    const values = this.#readCalls().score?.values;
    if (values === undefined || values >= this.#exitBelow) return { type: 'hold' };
    return { type: 'escalate', score: values, reason: this.#callReason() };
  }

  /** Without tools the score of text only falls: below the threshold is final, above it counts once it is settled. */
  #judgeRunningText(): Verdict {
    const { text, textDeltas, isOpeningSettled, opening, handOff } = this.#reader;
    const score = this.#scoreText();
    if (score === undefined) {
      const areScoresOverdue = textDeltas >= patienceDeltas && !handOff;
      return areScoresOverdue ? { type: 'commit', reason: 'no_evidence' } : { type: 'hold' };
    }
    if (score < this.#threshold && !mayCall(this.#request))
      return { type: 'escalate', score, reason: 'low_confidence' };
    const isSettled = isOpeningSettled || (opening === undefined && textDeltas >= horizonTokens);
    return isSettled && text.trim() !== '' ? this.#byThreshold(score, 'low_confidence') : { type: 'hold' };
  }

  #scoreText(): number | undefined {
    if (this.#chosen === undefined) return undefined;
    const { heads } = this.#chosen.calibration;
    return this.#sharp(scoreText(heads, this.#textFeatures(), mayCall(this.#request) && !this.#isAnsweringResults()));
  }

  #textFeatures(): Features {
    this.#match ??= matchFeatures((this.#view ??= viewRequest(this.#request, this.#weights)));
    return { ...openingFeatures(this.#reader.opening), ...this.#match };
  }

  /** Reading request and calls takes time: verdict and evidence share it. */
  #readCalls(): { readonly features: CallFeatures; readonly score: CallScore | undefined } {
    if (this.#calls !== undefined) return this.#calls;
    this.#view ??= viewRequest(this.#request, this.#weights);
    const features = callFeatures(this.#view, this.#reader.readCalls, this.#reader.callNats());
    const heads = this.#chosen?.calibration.heads;
    this.#calls = { features, score: heads && this.#sharpened(scoreCalls(heads, features)) };
    return this.#calls;
  }

  /** Own labels move score and bound alike: what could not pass before still cannot. */
  #sharpened(score: CallScore | undefined): CallScore | undefined {
    if (score === undefined || this.#chosen?.calibration.sharpening === undefined) return score;
    return { ...score, score: this.#sharp(score.score) ?? 0, values: this.#sharp(score.values) ?? 0 };
  }

  #sharp(score: number | undefined): number | undefined {
    const sharpening = this.#chosen?.calibration.sharpening;
    if (score === undefined || sharpening === undefined) return score;
    return logistic(logit(score) * sharpening.scale + sharpening.shift);
  }

  #callReason(): Reason {
    const isInvented = this.#readCalls().features.values.some(({ unsupported = 0 }) => unsupported >= 0.5);
    return isInvented ? 'ungrounded_arguments' : 'low_confidence';
  }

  /** What the gate holds to the answer's end: a promised format, and text that begins like an unread call. */
  #isWorthlessInPart(): boolean {
    return isPromisedFormat(this.#request) || (mayCall(this.#request) && beginsLikeCall(this.#reader.text));
  }

  #faultAtEnd(): Reason | undefined {
    const { hasOpenCall, calls, finish, text } = this.#reader;
    const reason = finish?.reason;
    if (hasOpenCall) return reason === undefined || reason === 'length' ? 'hold_limit' : 'tool_call_unparsed';
    if (calls.length > 0) return undefined;
    // At a limit the rest is still to come: nothing is missing yet.
    if (reason === undefined) return this.#isWorthlessInPart() ? 'hold_limit' : undefined;
    if (mustCall(this.#request)) return reason === 'length' ? 'hold_limit' : 'tool_call_unparsed';
    if (text.trim() === '') return 'empty_answer';
    if (!this.#fitsFormat()) return reason === 'length' ? 'hold_limit' : 'schema_violation';
    if (this.#isCutOff()) return 'truncated_answer';
    return mayCall(this.#request) && beginsLikeCall(text) && /"(?:name|function)"/.test(text)
      ? 'tool_call_unparsed'
      : undefined;
  }

  /** Cut by the engine's own limits; reaching the client's `max_tokens` is what the client asked for. */
  #isCutOff(): boolean {
    const { finish } = this.#reader;
    if (finish?.reason !== 'length') return false;
    return finish.usage.completionTokens < (this.#request.sampling.maxTokens ?? Infinity);
  }

  #fitsFormat(): boolean {
    const format = this.#request.responseFormat;
    if (format === undefined || format.type === 'text') return true;
    const value = parseJson(this.#reader.text);
    if (value === undefined) return false;
    if (format.type === 'json_object') return isJsonObject(value);
    return !('schema' in format) || format.schema === undefined || schemaViolation(value, format.schema) === undefined;
  }

  #byThreshold(score: number, belowReason: Reason): FinalVerdict {
    return score >= this.#threshold
      ? { type: 'commit', score, reason: 'confident' }
      : { type: 'escalate', score, reason: belowReason };
  }

  /** Tools have been called since the user spoke: a text is what comes next, though a tool fits. */
  #isAnsweringResults(): boolean {
    return this.#request.messages.at(-1)?.role === 'tool';
  }
}

function rounded(features: Features): JsonObject {
  return Object.fromEntries(Object.entries(features).map(([name, value]) => [name, fourDigits(value)]));
}

/** One list a feature, one entry a call. */
function listed(calls: readonly Features[]): JsonObject {
  const names = new Set(calls.flatMap((features) => Object.keys(features)));
  return Object.fromEntries(
    Array.from(names, (name) => [name, calls.map((features) => fourDigits(features[name] ?? 0))]),
  );
}

const estimatorName = 'answer-heads';
/** Text pieces without a score after which none is expected to come. */
const patienceDeltas = 4;
