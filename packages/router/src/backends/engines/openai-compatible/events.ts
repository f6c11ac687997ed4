import { BackendError, malformedCall } from '../../../core/errors.ts';
import type { FinishReason, InferenceEvent, Usage } from '../../../core/events.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../../core/json.ts';
import { tokensOf } from '../../../core/token-estimate.ts';
import { AnswerMeter } from '../../answer-meter.ts';
import type { Tier } from '../../../core/request.ts';
import type { ViaHop } from '../../../core/trace.ts';
import { viaIn } from './another-lfo.ts';
import { checkMetadata, egressViolation, unknownEgress } from './egress.ts';
import { errorInAnswer } from './errors.ts';
import { completionOf } from './infill.ts';
import { scoresOf } from './scores.ts';
import { ToolCallReader } from './tool-calls.ts';
import { usageOf } from './usage.ts';

export interface AnswerContext {
  readonly backend: string;
  readonly tier: Tier;
  /** Model asked for; told as the answering one until the server names another. */
  readonly model: string;
  readonly requestId: string;
  /** Size of the request, for an estimate where the server gives no usage. */
  readonly bodyBytes: number;
  /** The answer comes in the words of llama-server's `/infill`. */
  readonly isInfill?: boolean;
  /** The server is another LFO: told of the way the answer came by. */
  readonly cameVia?: (hops: readonly ViaHop[]) => void;
}

/**
 * Turns one answer into events: the chunks of a stream, or a completion as its only chunk. Unknown fields are ignored,
 * fields of a wrong type are taken as absent.
 */
export class AnswerReader {
  readonly #context: AnswerContext;
  readonly #calls: ToolCallReader;
  readonly #meter = new AnswerMeter();
  #hasStarted = false;
  #hasChoice = false;
  #isOver = false;
  #nativeReason: string | undefined;
  #stopSequence: string | undefined;
  #usage: Usage | undefined;
  /** Another LFO has said where the prompt went. */
  #hasEgress = false;
  /** First half of a surrogate pair that a server cut in two. */
  #halfPair = '';

  constructor(context: AnswerContext) {
    this.#context = context;
    this.#calls = new ToolCallReader(context.requestId);
  }

  /**
   * Reads one chunk or completion.
   * @throws BackendError when it is an error, or nothing that belongs here
   */
  read(said: JsonValue | undefined): InferenceEvent[] {
    const { backend, tier, isInfill } = this.#context;
    const value = isInfill === true ? completionOf(said) : said;
    const metadata = isJsonObject(value) ? value['lfo_metadata'] : undefined;
    // Before an error is: what failed there may have left the network too.
    if (tier === 'local') checkMetadata(metadata, backend);
    const error = errorInAnswer(value, backend);
    if (error !== undefined) throw error;
    if (!isJsonObject(value)) throw notAnAnswer(backend);
    const events: InferenceEvent[] = [];
    if (!this.#hasStarted) events.push(this.#start(value));
    this.#usage = usageOf(value['usage']) ?? this.#usage;
    const choice = Array.isArray(value['choices']) ? firstObject(value['choices']) : undefined;
    if (choice !== undefined) this.#readChoice(choice, events);
    if (isJsonObject(metadata)) this.#readMetadata(metadata, events);
    for (const event of events) this.#meter.add(event);
    return events;
  }

  /** Whether the last events were taken. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the model has finished; only usage may follow. */
  get isFinished(): boolean {
    return this.#nativeReason !== undefined;
  }

  /**
   * The last events, when the stream has ended or said so.
   * @param isWhole the answer came in one piece, so that a missing finish reason is not a cut
   * @throws BackendError `cut` without a finish reason, `unusable` with a tool call that is none
   */
  end(isWhole = false): InferenceEvent[] {
    const { backend, tier, cameVia } = this.#context;
    if (isWhole && !this.#hasChoice) throw notAnAnswer(backend);
    const native = this.#nativeReason ?? (isWhole ? 'stop' : undefined);
    if (native === undefined) throw cutOff(backend);
    if (native === 'error' || native === 'abort') throw brokeDown(backend);
    if (tier === 'local' && cameVia !== undefined && !this.#hasEgress) throw egressViolation(backend, unknownEgress);
    const events: InferenceEvent[] = this.#halfPair === '' ? [] : [{ type: 'text-delta', text: '\uFFFD' }];
    const reason = finishReasonOf(native, this.#calls.hasCalls);
    const areCallsComplete = this.#calls.end(events, reason === 'length');
    if (!areCallsComplete && reason !== 'length') throw unreadableCall(backend);
    const usage = this.#usage ?? this.#meter.estimate(tokensOf(this.#context.bodyBytes));
    this.#isOver = true;
    const stopped = reason === 'stop' ? this.#stopSequence : undefined;
    events.push({
      type: 'finish',
      reason,
      ...(native === reason ? {} : { nativeReason: native }),
      ...(stopped === undefined ? {} : { stopSequence: stopped }),
      usage,
    });
    return events;
  }

  #start(value: JsonObject): InferenceEvent {
    this.#hasStarted = true;
    const { model } = value;
    return { type: 'start', model: typeof model === 'string' && model !== '' ? model : this.#context.model };
  }

  #readChoice(choice: JsonObject, events: InferenceEvent[]): void {
    this.#hasChoice = true;
    const delta = firstObject([choice['delta'] ?? null, choice['message'] ?? null]) ?? textDelta(choice);
    const calls = Array.isArray(delta['tool_calls']) ? delta['tool_calls'] : [];
    const scores = scoresOf(choice['logprobs']);
    if (scores.length > 0)
      events.push({ type: 'token-scores', scores, about: calls.length > 0 ? 'tool-call' : 'text' });
    const reasoning = textOf(delta['reasoning_content']) || textOf(delta['reasoning']);
    if (reasoning !== '') events.push({ type: 'reasoning-delta', text: reasoning.toWellFormed() });
    const text = this.#wellFormed(textOf(delta['content']));
    if (text !== '') events.push({ type: 'text-delta', text });
    const refusal = textOf(delta['refusal']);
    if (refusal !== '') events.push({ type: 'refusal-delta', text: refusal.toWellFormed() });
    for (const call of calls) events.push(...this.#calls.read(call));
    const legacyCall = delta['function_call'];
    if (isJsonObject(legacyCall)) events.push(...this.#calls.read({ index: 0, function: legacyCall }));
    const native = choice['finish_reason'];
    if (typeof native === 'string' && native !== '') this.#nativeReason = native;
    this.#stopSequence = stopSequenceIn(choice) ?? this.#stopSequence;
  }

  /** Of another LFO: the way the answer came by, and what it thinks of it. */
  #readMetadata(metadata: JsonObject, events: InferenceEvent[]): void {
    const { cameVia } = this.#context;
    this.#hasEgress ||= typeof metadata['egress'] === 'string';
    if (cameVia === undefined) return;
    cameVia(viaIn(metadata));
    const { confidence } = metadata;
    if (typeof confidence === 'number' && confidence >= 0 && confidence <= 1) {
      events.push({ type: 'self-report', confidence });
    }
  }

  #wellFormed(text: string): string {
    if (text === '') return '';
    const whole = this.#halfPair + text;
    const last = whole.charCodeAt(whole.length - 1);
    const isCutPair = last >= 0xd800 && last <= 0xdbff;
    this.#halfPair = isCutPair ? whole.slice(-1) : '';
    return (isCutPair ? whole.slice(0, -1) : whole).toWellFormed();
  }
}

/** What a completion says, which is no message. */
function textDelta({ text }: JsonObject): JsonObject {
  return typeof text === 'string' ? { content: text } : {};
}

/** vLLM and SGLang say which text ended the answer, or the id of a token. */
function stopSequenceIn({ stop_reason: vllm, matched_stop: sglang }: JsonObject): string | undefined {
  const said = typeof vllm === 'string' ? vllm : sglang;
  return typeof said === 'string' && said !== '' ? said.toWellFormed() : undefined;
}

/** Content as a string, or as the text parts some servers write. */
function textOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return '';
  return value
    .map((part: JsonValue) => (isJsonObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

function firstObject(values: readonly JsonValue[]): JsonObject | undefined {
  return values.find(isJsonObject);
}

function finishReasonOf(native: string, hasCalls: boolean): FinishReason {
  const reason = Object.hasOwn(finishReasons, native) ? finishReasons[native] : 'stop';
  if (reason === 'length' || reason === 'content_filter') return reason;
  return hasCalls ? 'tool_calls' : 'stop';
}

/** Words for the same, of servers that came before or beside the rules. */
const finishReasons: Readonly<Record<string, FinishReason>> = {
  length: 'length',
  max_tokens: 'length',
  MAX_TOKENS: 'length',
  content_filter: 'content_filter',
  safety: 'content_filter',
  SAFETY: 'content_filter',
  RECITATION: 'content_filter',
};

function notAnAnswer(backend: string): BackendError {
  return new BackendError('The backend sent something that is no chat completion; check its base URL.', {
    fault: 'bad_answer',
    backend,
  });
}

function cutOff(backend: string): BackendError {
  return new BackendError('The backend ended its answer without saying that it was complete; try again.', {
    fault: 'cut',
    backend,
  });
}

function brokeDown(backend: string): BackendError {
  return new BackendError('The backend gave up in the middle of its answer; try again.', { fault: 'server', backend });
}

function unreadableCall(backend: string): BackendError {
  return new BackendError('The model wrote a tool call that cannot be read; try again.', {
    fault: 'unusable',
    backend,
    code: malformedCall,
  });
}
