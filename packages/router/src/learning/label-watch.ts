import type { Clock } from '../core/clock.ts';
import { isJsonObject, parseJson } from '../core/json.ts';
import type { LabelSink } from '../core/judgement.ts';
import { type ChatRequest, textOf } from '../core/request.ts';
import { setRecent } from '../core/recent.ts';
import type { RequestFollower, RequestSink } from '../core/sink.ts';
import type { RequestTrace } from '../core/trace.ts';
import type { AnsweredCalls } from './answered-calls.ts';

/**
 * Reads labels off what clients do: a tool that fails on the arguments of a local call, an answer that does not fit the
 * client's schema, the same conversation asked again at once. Costs a few map look-ups a request.
 */
export class LabelWatch implements RequestSink {
  readonly #clock: Clock;
  readonly #calls: AnsweredCalls;
  readonly #labels: LabelSink;
  /** By conversation: the local answer it got, and when. */
  readonly #answers = new Map<
    string,
    { readonly requestId: string; readonly attempt: number; readonly atMs: number }
  >();

  constructor(clock: Clock, calls: AnsweredCalls, labels: LabelSink) {
    this.#clock = clock;
    this.#calls = calls;
    this.#labels = labels;
  }

  begin(request: ChatRequest, trace: RequestTrace): RequestFollower {
    this.#readResults(request);
    const key = conversationOf(request);
    if (key !== undefined) this.#noteRetry(key);
    return {
      ended: ({ status }) => {
        this.#noteSchema(trace);
        if (key === undefined || status !== 200) return;
        const attempt = trace.attempts.findLastIndex(({ outcome }) => outcome === 'answered');
        if (trace.attempts[attempt]?.judgement === undefined) return;
        setRecent(this.#answers, key, { requestId: trace.id, attempt, atMs: this.#clock.nowMs() }, mostAnswers);
      },
    };
  }

  /** Results at the end of a conversation are of the calls just made. */
  #readResults({ messages, hints }: ChatRequest): void {
    for (let index = messages.length - 1; index >= 0; index -= 1) {
      const message = messages[index];
      if (message?.role !== 'tool') return;
      const call = this.#calls.find(hints.clientKey, message.toolCallId);
      if (call?.tier !== 'local') continue;
      const { requestId, attempt } = call;
      const hasFailed = isError(textOf(message));
      // A call that runs may still have been the wrong one.
      const weight = hasFailed ? 1 : 0.3;
      this.#labels.add({
        requestId,
        attempt,
        source: 'tool_result',
        label: hasFailed ? 0 : 1,
        weight,
        propensity: 1,
      });
    }
  }

  #noteRetry(key: string): void {
    const before = this.#answers.get(key);
    if (before === undefined) return;
    // The second time it is a person who was not content; what comes again and again is a program.
    this.#answers.delete(key);
    if (this.#clock.nowMs() - before.atMs > retryWithinMs) return;
    const { requestId, attempt } = before;
    this.#labels.add({ requestId, attempt, source: 'retry', label: 0, weight: 0.5, propensity: 1 });
  }

  #noteSchema({ id, attempts }: RequestTrace): void {
    for (const [attempt, { judgement }] of attempts.entries()) {
      if (judgement?.reason !== 'schema_violation') continue;
      this.#labels.add({ requestId: id, attempt, source: 'schema', label: 0, weight: 1, propensity: 1 });
    }
  }
}

/** Tells conversations apart well enough, without reading long prompts. */
function conversationOf({ messages, bodyBytes, hints }: ChatRequest): string | undefined {
  const last = messages.at(-1);
  if (last?.role !== 'user') return undefined;
  return `${hints.clientKey ?? ''} ${messages.length} ${bodyBytes} ${textOf(last).slice(0, 200)}`;
}

/** As tools and the frameworks around them report a failure. */
function isError(result: string): boolean {
  const start = result.trimStart();
  if (start.startsWith('{')) {
    const value = start.length > maxErrorLength ? undefined : parseJson(start);
    if (!isJsonObject(value)) return false;
    return (value['error'] ?? null) !== null || value['is_error'] === true || value['isError'] === true;
  }
  return /^(?:error\b|exception\b|traceback\b|invalid (?:argument|parameter))/i.test(start);
}

const retryWithinMs = 120_000;
const mostAnswers = 5_000;
const maxErrorLength = 20_000;
