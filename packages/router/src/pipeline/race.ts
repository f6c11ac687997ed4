import { type ChildAbort, childOf } from '../core/abort.ts';
import { LfoError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';
import {
  Attempt,
  type AttemptEnd,
  type AttemptOptions,
  type AttemptWriter,
  type Call,
  type PromptSize,
  type Stages,
} from './attempt.ts';
import { isAnswer, leadWith } from './attempt-notes.ts';
import type { Step } from './plan.ts';

/** What the main path needs of an attempt. */
type RunningAttempt = Pick<Attempt, 'backend' | 'model' | 'run'>;

/** An attempt that is run in another way. */
class RacingAttempt implements RunningAttempt {
  readonly run: RunningAttempt['run'];
  readonly #attempt: Attempt;

  constructor(attempt: Attempt, run: RunningAttempt['run']) {
    this.#attempt = attempt;
    this.run = run;
  }

  get backend(): string | undefined {
    return this.#attempt.backend;
  }

  get model(): string | undefined {
    return this.#attempt.model;
  }
}

/** Writes in another way than the writer whose commit point it has. */
class RacingWriter implements AttemptWriter {
  readonly write: AttemptWriter['write'];
  readonly #writer: () => AttemptWriter | undefined;

  constructor(writer: () => AttemptWriter | undefined, write: AttemptWriter['write']) {
    this.#writer = writer;
    this.write = write;
  }

  get committed(): boolean {
    return this.#writer()?.committed ?? false;
  }
}

export interface RaceOptions {
  readonly request: ChatRequest;
  readonly call: Call;
  readonly stages: Stages;
  readonly size: PromptSize;
  /** The cloud attempt that may begin early. */
  readonly step: Step;
  readonly delayMs: number;
  readonly hasOther: (backend: string) => boolean;
}

/**
 * A cloud attempt that begins while a local one is still being judged. The first answer that is accepted wins, the other
 * is aborted, and texts are never joined: the cloud's is kept until the local one is out of the race. A streamed answer
 * of the cloud is accepted at its first word, one that is not streamed at its end.
 */
export class Race {
  readonly #options: RaceOptions;
  readonly #local: ChildAbort;
  readonly #cloud: ChildAbort;
  readonly #cancelStart: () => void;
  /** As the cloud attempt writes it; joined with the request's own once it has won. */
  readonly #trace: RequestTrace;
  readonly #kept: InferenceEvent[] = [];
  #attempt: Attempt | undefined;
  #noted: AttemptTrace | undefined;
  #running: Promise<AttemptEnd> | undefined;
  #winner: 'local' | 'cloud' | undefined;
  #writer: AttemptWriter | undefined;

  constructor(options: RaceOptions) {
    const { call, stages, delayMs } = options;
    this.#options = options;
    this.#local = childOf(call.signal);
    this.#cloud = childOf(call.signal);
    this.#trace = { ...call.trace };
    this.#cancelStart = stages.clock.schedule(delayMs, () => this.#begin());
  }

  /** The cloud has been asked. */
  get hasBegun(): boolean {
    return this.#running !== undefined;
  }

  /** The cloud's answer is the one that the client gets. */
  get #hasWon(): boolean {
    return this.#winner === 'cloud';
  }

  /** The try as it takes part in the race: a local one that may lose it, or the cloud's, where that has begun. */
  attemptFor(step: Step, options: AttemptOptions): RunningAttempt {
    if (step.attempt.gated) return this.#localAttempt(step, options);
    const attempt = this.#attempt;
    if (attempt === undefined || this.#writer !== undefined || step.attempt.tier !== 'cloud') {
      return new Attempt(step, options);
    }
    return new RacingAttempt(attempt, (writer) => this.#handOver(attempt, writer, options.hasSpare));
  }

  #localAttempt(step: Step, options: AttemptOptions): RunningAttempt {
    const { signal } = this.#local;
    const attempt = new Attempt(step, { ...options, call: { ...options.call, signal } });
    return new RacingAttempt(attempt, async (writer) => {
      const end = await attempt.run(this.#forLocal(writer));
      if (this.#hasWon) return { type: 'failed', error: hedgeLost };
      // A client that leaves, or a backend that fails, says nothing of the answer.
      if (end.type !== 'failed') options.stages.hedging?.judged(options.request, end.type === 'escalated');
      return end;
    });
  }

  /** The local attempt's first word is its victory. */
  #forLocal(writer: AttemptWriter): AttemptWriter {
    return new RacingWriter(
      () => writer,
      (events) => {
        if (this.#hasWon) return undefined;
        this.#winner = 'local';
        this.drop();
        return writer.write(events);
      },
    );
  }

  /** No further use of it: what runs is aborted, and what it has cost is counted. */
  drop(): void {
    this.#cancelStart();
    this.#local.release();
    if (this.#running === undefined || this.#writer !== undefined) return;
    const { call } = this.#options;
    this.#cloud.abort(hedgeLost);
    void this.#countLoser(this.#running, call);
  }

  async #countLoser(running: Promise<AttemptEnd>, { trace, costOf }: Call): Promise<void> {
    await running;
    if (trace.costUsd !== undefined) trace.costUsd = costOf(trace.attempts);
  }

  /** The local attempt is out: what has come so far is written, and the rest as it comes. */
  async #handOver(attempt: Attempt, writer: AttemptWriter, hasSpare: boolean): Promise<AttemptEnd> {
    this.#winner = 'cloud';
    this.#writer = writer;
    if (this.#kept.length > 0) await this.#write(this.#kept.splice(0));
    if (hasSpare && !writer.committed) attempt.giveUpInTime();
    const end: AttemptEnd = (await this.#running) ?? { type: 'failed', error: hedgeLost };
    this.#cloud.release();
    const reason = this.#noted?.reason;
    if (end.type === 'failed' && reason !== undefined) leadWith(this.#options.call.trace, reason);
    return end;
  }

  #begin(): void {
    const { request, call, stages, size, step, hasOther } = this.#options;
    const trace = this.#trace;
    const own: Call = { ...call, trace, signal: this.#cloud.signal };
    const attempt = new Attempt(step, { request, call: own, stages, size, hasSpare: false, hasOther });
    this.#attempt = attempt;
    const writer = new RacingWriter(
      () => this.#writer,
      (events) => this.#take(events),
    );
    this.#running = attempt.run(writer).then((end) => {
      if (end.type === 'answered' && !request.stream) this.#wins();
      return end;
    });
    this.#noted = trace.attempts.at(-1);
    if (this.#noted !== undefined) this.#noted.isHedge = true;
  }

  #take(events: readonly InferenceEvent[]): Promise<void> | undefined {
    if (this.#writer !== undefined) return this.#write(events);
    for (const event of events) this.#kept.push(event);
    if (this.#options.request.stream && events.some(isAnswer)) this.#wins();
    return undefined;
  }

  #wins(): void {
    if (this.#winner !== undefined) return;
    this.#winner = 'cloud';
    this.#local.abort(hedgeLost);
  }

  #write(events: readonly InferenceEvent[]): Promise<void> | undefined {
    const { route, backend, model, device, resumed, via, usage, costUsd, finishReason, nativeFinishReason } =
      this.#trace;
    const { trace } = this.#options.call;
    const source = { route, backend, model, device, resumed, via };
    Object.assign(trace, { ...source, usage, costUsd, finishReason, nativeFinishReason });
    trace.committedMs ??= this.#options.stages.clock.nowMs();
    trace.firstTokenMs ??= this.#trace.firstTokenMs ?? trace.committedMs;
    return this.#writer?.write(events);
  }
}

/** Of the attempt that came second. */
export const hedgeLost = new LfoError('Another answer was accepted first.', { code: 'hedge_lost', status: 499 });
