import type { RetryBudget } from '../pipeline/retry.ts';
import { deadlineExceeded } from '../pipeline/watch.ts';
import { type ChildAbort, childOf } from '../core/abort.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { LfoError } from '../core/errors.ts';
import type { ChatExchange } from '../core/exchange.ts';
import type { LiveFeed } from '../telemetry/live-feed.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AppOptions } from './running-app.ts';
import { beginTrace } from '../core/trace.ts';
import { respond } from '../dialects/openai-chat/respond.ts';
import type { Spent } from '../core/identity.ts';
import type { Operations } from './operations.ts';
import { answer, type Stages } from '../pipeline/answer.ts';
import type { RecordKeeping } from '../records/open-records.ts';

/** What a chat needs from its arrival to its last byte. */
export interface ChatsOptions extends Pick<AppOptions, 'config' | 'clock' | 'logger'> {
  readonly retries: RetryBudget;
  /** The stages a request may use; those of a `local` one reach nothing else. */
  readonly stagesFor: (request: ChatRequest) => Stages;
  readonly live: LiveFeed;
  readonly records: RecordKeeping;
  readonly operations: Pick<Operations, 'ended'>;
}

/** Takes each chat from the door to its last byte, tells of it, and knows those that run. */
export class Chats {
  readonly #options: ChatsOptions;
  /** What runs, and under whose key. */
  readonly #running = new Map<ChildAbort, string | undefined>();

  constructor(options: ChatsOptions) {
    this.#options = options;
  }

  /** Chats that run now. */
  get size(): number {
    return this.#running.size;
  }

  /** Answers one and resolves once its last byte has left, to what its key pays for. Never rejects for the answer's sake. */
  async chat(exchange: ChatExchange): Promise<Spent> {
    const { config, clock, retries, stagesFor, live, records, operations } = this.#options;
    const { request, receivedMs } = exchange;
    const { clientKey, confidenceThreshold, deadlineMs: budgetMs, headDeadlineMs } = request.hints;
    const { routing, server } = config.current();
    retries.requestStarted();
    const times = { startMs: receivedMs, startedAtMs: clock.wallMs() };
    const trace = beginTrace(request, times, confidenceThreshold ?? routing.confidenceThreshold);
    const abort = childOf(exchange.signal);
    this.#running.set(abort, clientKey);
    live.begin(trace, clientKey);
    const deadlineMs = budgetMs === undefined ? undefined : receivedMs + budgetMs;
    const cancelDeadline = endAt(deadlineMs, abort, clock);
    const headDueMs = headDeadlineMs === undefined ? undefined : receivedMs + headDeadlineMs;
    const cancelHeadDeadline = endAt(headDueMs, abort, clock, () => !exchange.response.headersSent);
    try {
      const call = { signal: abort.signal, deadlineMs, trace, costOf: records.costOf };
      const events = records.follow(request, answer(request, call, stagesFor(request)));
      const { heartbeatMs, slowReaderMs } = server;
      const delivery = await respond(exchange, events, trace, { clock, heartbeatMs, slowReaderMs });
      trace.endMs = clock.nowMs();
      live.end(trace, delivery);
      records.record(trace, clientKey === undefined ? delivery : { ...delivery, clientKey });
      this.#options.logger.info(
        {
          requestId: request.id,
          status: delivery.status,
          code: delivery.error?.code,
          route: trace.route,
          reason: trace.reason,
          backend: trace.backend,
          ms: Math.round(trace.endMs - receivedMs),
        },
        'request answered',
      );
      return operations.ended(trace, delivery.status);
    } finally {
      cancelDeadline();
      cancelHeadDeadline();
      abort.release();
      this.#running.delete(abort);
    }
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
}

const drainLookMs = 20;

/** Ends what still runs when its time is over, unless that has lost its meaning by then. */
function endAt(dueMs: number | undefined, abort: ChildAbort, clock: Clock, isMeant = () => true): () => void {
  if (dueMs === undefined) return () => {};
  return clock.schedule(Math.max(0, dueMs - clock.nowMs()), () => {
    if (isMeant()) abort.abort(deadlineExceeded());
  });
}
