import type { ConfigHandle } from '../config/handle.ts';
import { type Attempt, outcomeOf } from '../core/backend.ts';
import type { Cancellation, ChildAbort } from '../core/abort.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { EmbeddingAnswer, EmbeddingRequest } from '../core/embedding.ts';
import { BackendError, deadlineExceeded, LfoError } from '../core/errors.ts';
import type { Usage } from '../core/events.ts';
import type { EmbeddingExchange } from '../core/exchange.ts';
import { errorFields, type Logger } from '../core/logger.ts';
import type { ChatRequest } from '../core/request.ts';
import type { EndedRequest, RequestSink } from '../core/sink.ts';
import { beginAttempt, beginTrace, type RequestTrace } from '../core/trace.ts';
import { estimateTokens } from '../routing/estimate-tokens.ts';
import type { Call, Stages } from './attempt.ts';
import type { RetryBudget } from './retry.ts';

/** As those of chats. */
export interface EmbeddingsOptions {
  readonly config: ConfigHandle;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retries: RetryBudget;
  readonly stagesFor: (request: ChatRequest) => Pick<Stages, 'pool'>;
  readonly costOf: Call['costOf'];
  readonly sinks: readonly RequestSink[];
}

/** Knows what runs, so that shutdown waits for it and a revoked key ends it. */
interface Running {
  hold(parent: Cancellation, clientKey: string | undefined): ChildAbort;
  /** Tells the sinks and the log of its end, with the others of late. */
  ended(ended: EndedRequest): void;
}

/**
 * Turns texts into vectors: one backend, which the model names, tried again where the retry budget allows. Nobody
 * stands in for it and nothing judges it: vectors of another model would be noise beside those that are stored.
 */
export class Embeddings {
  readonly #options: EmbeddingsOptions;
  readonly #running: Running;

  constructor(options: EmbeddingsOptions, running: Running) {
    this.#options = options;
    this.#running = running;
  }

  /** Answers one and resolves once its last byte has left. */
  async serve(exchange: EmbeddingExchange): Promise<RequestTrace> {
    const { clock, retries, sinks, logger } = this.#options;
    const { request, receivedMs, bodyMs } = exchange;
    const { clientKey, deadlineMs } = request.hints;
    retries.requestStarted();
    const recorded = asChat(request);
    const trace = beginTrace(recorded, { startMs: receivedMs, startedAtMs: clock.wallMs(), bodyMs }, 0);
    trace.isEmbedding = true;
    trace.reason = 'model_pinned';
    trace.reasons = ['model_pinned'];
    trace.promptTokens = estimateOf(request);
    trace.promptTokensFrom = 'estimate';
    const followers = sinks.flatMap((sink) => sink.begin?.(recorded, trace) ?? []);
    const abort = this.#running.hold(exchange.signal, clientKey);
    const totalMs = budgetOf(this.#options.config, request, deadlineMs);
    const leftMs = Math.max(0, receivedMs + totalMs - clock.nowMs());
    const cancelDeadline = clock.schedule(leftMs, () => abort.abort(deadlineExceeded()));
    try {
      const delivery = await this.#answer(request, recorded, trace, abort.signal).then(
        ({ answer, usage }) => exchange.deliver(answer, usage, trace),
        (error: unknown) => {
          if (!(error instanceof LfoError))
            logger.error({ requestId: request.id, ...errorFields(error) }, 'embedding failed');
          return exchange.fail(error, trace);
        },
      );
      trace.endMs = clock.nowMs();
      for (const follower of followers) follower.ended(delivery);
      this.#running.ended({ trace, delivery, clientKey });
      return trace;
    } finally {
      cancelDeadline();
      abort.release();
    }
  }

  async #answer(
    request: EmbeddingRequest,
    recorded: ChatRequest,
    trace: RequestTrace,
    signal: Cancellation,
  ): Promise<{ readonly answer: EmbeddingAnswer; readonly usage: Usage }> {
    const { clock, retries, costOf } = this.#options;
    for (let retriesSoFar = 0; ; retriesSoFar++) {
      try {
        const answer = await this.#attempt(request, recorded, trace, signal);
        const usage = usageOf(request, answer);
        const last = trace.attempts.at(-1);
        if (last !== undefined) last.usage = usage;
        trace.usage = usage;
        trace.costUsd = costOf(trace.attempts);
        return { answer, usage };
      } catch (error) {
        signal.throwIfAborted();
        const delayMs = error instanceof BackendError ? retries.delayBeforeRetry(error, retriesSoFar) : undefined;
        if (delayMs === undefined) throw error;
        await sleep(clock, delayMs, signal);
      }
    }
  }

  async #attempt(
    request: EmbeddingRequest,
    recorded: ChatRequest,
    trace: RequestTrace,
    signal: Cancellation,
  ): Promise<EmbeddingAnswer> {
    const { clock, stagesFor } = this.#options;
    const { backend, model, hints } = request;
    const attempt: Attempt = { tier: hints.mode, backend, model, embeds: true, gated: false };
    const notes = beginAttempt(trace, hints.mode, clock.nowMs());
    trace.overheadMs ??= notes.startMs - trace.bodyMs;
    const choice = { request: recorded, signal, exclude: new Set<string>(), promptTokens: 0 };
    const lease = await stagesFor(recorded).pool.acquire(attempt, choice);
    notes.backend = trace.backend = lease.backend.id;
    notes.model = trace.model = model;
    notes.device = trace.device = lease.backend.label?.()?.name;
    notes.leasedMs = clock.nowMs();
    trace.route = hints.mode;
    try {
      const { embedder } = lease.backend;
      if (embedder === undefined)
        throw new LfoError('This backend makes no embeddings.', { code: 'model_not_found', status: 404 });
      const answer = await embedder.embed(request, { signal, clock, model });
      notes.outcome = 'answered';
      trace.committedMs = trace.firstTokenMs = notes.firstEventMs = notes.endMs = clock.nowMs();
      lease.done('success');
      return answer;
    } catch (error) {
      notes.endMs = clock.nowMs();
      notes.outcome = signal.aborted ? 'cancelled' : 'failed';
      notes.error =
        error instanceof LfoError
          ? { code: error.code, status: error.status, source: error.source }
          : { code: 'internal_error', status: 500, source: 'lfo' };
      lease.done(
        outcomeOf(error, (one): one is BackendError => one instanceof BackendError),
        error,
      );
      throw error;
    }
  }
}

/** What followers, pool and records know of it: a request whose texts are the user's words. */
function asChat({ id, askedModel, inputs, hints, bodyBytes }: EmbeddingRequest): ChatRequest {
  const texts = inputs.flatMap((input) => (typeof input === 'string' ? [input] : []));
  return {
    id,
    model: askedModel,
    messages: texts.map((text) => ({ role: 'user', content: [{ type: 'text', text }] })),
    tools: [],
    sampling: { stop: [], logprobs: false },
    stream: false,
    hints,
    bodyBytes,
  };
}

function budgetOf(config: ConfigHandle, { hints }: EmbeddingRequest, deadlineMs = Infinity): number {
  return Math.min(deadlineMs, config.current().budgets[hints.mode].totalMs);
}

function estimateOf({ inputs }: EmbeddingRequest): number {
  return inputs.reduce((sum, input) => sum + (typeof input === 'string' ? estimateTokens(input) : input.length), 0);
}

function usageOf(request: EmbeddingRequest, { promptTokens }: EmbeddingAnswer): Usage {
  if (promptTokens !== undefined) return { promptTokens, completionTokens: 0 };
  return { promptTokens: estimateOf(request), completionTokens: 0, estimated: true };
}
