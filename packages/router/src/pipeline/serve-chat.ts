import type { ConfigHandle } from '../config/handle.ts';
import { type Cancellation, type ChildAbort, childOf } from '../core/abort.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { deadlineExceeded, LfoError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatExchange, EmbeddingExchange } from '../core/exchange.ts';
import { errorFields, type Logger } from '../core/logger.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AnswerWriter, Delivery, EndedRequest, RequestFollower, RequestSink } from '../core/sink.ts';
import { beginTrace, type RequestTrace } from '../core/trace.ts';
import { answer } from './answer.ts';
import type { Call, Stages } from './attempt.ts';
import type { RetryBudget } from './retry.ts';
import { Embeddings } from './serve-embedding.ts';

/** What a chat needs from its arrival to its last byte. */
export interface ChatsOptions {
  readonly config: ConfigHandle;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retries: RetryBudget;
  /** The stages a request may use; those of a `local` one reach nothing else. */
  readonly stagesFor: (request: ChatRequest) => Stages;
  readonly costOf: Call['costOf'];
  /** Name of this router; default: none. */
  readonly router?: () => string;
  /** In the order in which they are called. */
  readonly sinks: readonly RequestSink[];
}

/** Takes each chat from its arrival to its last byte, tells the sinks of it, and knows those that run. */
export class Chats {
  readonly #options: ChatsOptions;
  readonly #embeddings: Embeddings;
  /** What runs, and under whose key. */
  readonly #running = new Map<ChildAbort, string | undefined>();
  /** Of which the sinks have not heard yet. */
  #ended: EndedRequest[] = [];
  #cancelSettling: (() => void) | undefined;

  constructor(options: ChatsOptions) {
    this.#options = options;
    this.#embeddings = new Embeddings(options, this);
  }

  /** Chats that run now. */
  get size(): number {
    return this.#running.size;
  }

  /** Turns the texts of one request into vectors and resolves once the last byte of its answer has left. */
  embed(exchange: EmbeddingExchange): Promise<RequestTrace> {
    return this.#embeddings.serve(exchange);
  }

  /** Counts something that runs beside chats under the same rules: shutdown waits for it, a revoked key ends it. */
  hold(parent: Cancellation, clientKey: string | undefined): ChildAbort {
    const abort = childOf(parent);
    this.#running.set(abort, clientKey);
    return {
      signal: abort.signal,
      abort: (reason) => abort.abort(reason),
      release: () => {
        abort.release();
        this.#running.delete(abort);
      },
    };
  }

  /** Answers one and resolves once its last byte has left. */
  async serve(exchange: ChatExchange): Promise<RequestTrace> {
    const { config, clock, retries, sinks } = this.#options;
    const { request, receivedMs, bodyMs } = exchange;
    const { clientKey, confidenceThreshold, deadlineMs: budgetMs, headDeadlineMs } = request.hints;
    retries.requestStarted();
    const times = { startMs: receivedMs, startedAtMs: clock.wallMs(), bodyMs };
    const trace = beginTrace(request, times, confidenceThreshold ?? config.current().routing.confidenceThreshold);
    trace.router = this.#options.router?.();
    const abort = childOf(exchange.signal);
    this.#running.set(abort, clientKey);
    const followers = followersOf(sinks, request, trace);
    const deadlineMs = budgetMs === undefined ? undefined : receivedMs + budgetMs;
    const cancelDeadline = endAt(deadlineMs, abort, clock);
    const headDueMs = headDeadlineMs === undefined ? undefined : receivedMs + headDeadlineMs;
    const cancelHeadDeadline = endAt(headDueMs, abort, clock, () => exchange.hasHead());
    try {
      const writer = followed(exchange.open(trace), followers);
      const held = heldBy(followers);
      const call = {
        signal: abort.signal,
        deadlineMs,
        headDueMs,
        hasHead: () => exchange.hasHead(),
        trace,
        ...(held !== undefined && { held }),
      };
      const delivery = await this.#deliver(request, call, writer);
      trace.endMs = clock.nowMs();
      trace.costUsd = this.#options.costOf(trace.attempts);
      for (const follower of followers) follower.ended(delivery);
      this.ended({ trace, delivery, clientKey });
      return trace;
    } finally {
      cancelDeadline();
      cancelHeadDeadline();
      abort.release();
      this.#running.delete(abort);
    }
  }

  /** Notes an end, for the sinks and the log to hear of with others. */
  ended(ended: EndedRequest): void {
    this.#ended.push(ended);
    this.#cancelSettling ??= this.#options.clock.schedule(settleMs, () => this.settle());
  }

  /** Tells the sinks and the log of the requests that have ended since the last time. */
  settle(): void {
    this.#cancelSettling?.();
    this.#cancelSettling = undefined;
    const ended = this.#ended;
    if (ended.length === 0) return;
    this.#ended = [];
    for (const sink of this.#options.sinks) sink.settle?.(ended);
    if (!this.#options.logger.isLevelEnabled('info')) return;
    for (const { trace, delivery } of ended) this.#log(trace, delivery);
  }

  /** Ends those whose key may not go on. */
  endUnless(mayGoOn: (keyId: string | undefined) => boolean, reason: () => LfoError): void {
    for (const [abort, keyId] of this.#running) if (!mayGoOn(keyId)) abort.abort(reason());
  }

  /** Resolves when nothing runs any more or the time is over. */
  async drained(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    const never = new AbortController().signal;
    const untilMs = clock.nowMs() + graceMs;
    while (this.#running.size > 0 && clock.nowMs() < untilMs) await sleep(clock, drainLookMs, never);
  }

  async #deliver(request: ChatRequest, call: Omit<Call, 'costOf'>, writer: AnswerWriter): Promise<Delivery> {
    const { stagesFor, costOf, logger } = this.#options;
    try {
      await answer(request, { ...call, costOf }, stagesFor(request), writer);
      return await writer.end();
    } catch (error) {
      if (!(error instanceof LfoError)) logger.error({ requestId: request.id, ...errorFields(error) }, 'chat failed');
      return await writer.fail(error);
    }
  }

  #log(trace: RequestTrace, { status, error }: Delivery): void {
    const { logger } = this.#options;
    const { id: requestId, route, reason, backend, startMs, endMs } = trace;
    const ms = Math.round((endMs ?? startMs) - startMs);
    logger.info({ requestId, status, code: error?.code, route, reason, backend, ms }, 'request answered');
  }
}

const drainLookMs = 20;

/** What happens to a request after its end is done for many at once; a crash loses so much of it. */
const settleMs = 50;

const nobody: readonly RequestFollower[] = [];

function followersOf(
  sinks: readonly RequestSink[],
  request: ChatRequest,
  trace: RequestTrace,
): readonly RequestFollower[] {
  let followers: RequestFollower[] | undefined;
  for (const sink of sinks) {
    const follower = sink.begin?.(request, trace);
    if (follower !== undefined) (followers ??= []).push(follower);
  }
  return followers ?? nobody;
}

/** The same writer; followers see what goes to it. */
function followed(writer: AnswerWriter, followers: readonly RequestFollower[]): AnswerWriter {
  return followers.some((follower) => follower.wrote !== undefined) ? new FollowedWriter(writer, followers) : writer;
}

class FollowedWriter implements AnswerWriter {
  readonly #writer: AnswerWriter;
  readonly #followers: readonly RequestFollower[];

  constructor(writer: AnswerWriter, followers: readonly RequestFollower[]) {
    this.#writer = writer;
    this.#followers = followers;
  }

  get committed(): boolean {
    return this.#writer.committed;
  }

  write(events: readonly InferenceEvent[]): Promise<void> | undefined {
    for (const follower of this.#followers) follower.wrote?.(events);
    return this.#writer.write(events);
  }

  end(): Promise<Delivery> {
    return this.#writer.end();
  }

  fail(error: unknown): Promise<Delivery> {
    return this.#writer.fail(error);
  }
}

/** Tells those followers who want to know what is held back; `undefined` where none does, which is nearly always. */
function heldBy(followers: readonly RequestFollower[]): RequestFollower['held'] {
  if (!followers.some((follower) => follower.held !== undefined)) return undefined;
  return (events, attempt, verdict) => {
    for (const follower of followers) follower.held?.(events, attempt, verdict);
  };
}

/** Ends what still runs when its time is over, unless the deadline has been met by then. */
function endAt(dueMs: number | undefined, abort: ChildAbort, clock: Clock, isMet = () => false): () => void {
  if (dueMs === undefined) return () => {};
  return clock.schedule(Math.max(0, dueMs - clock.nowMs()), () => {
    if (!isMet()) abort.abort(deadlineExceeded());
  });
}
