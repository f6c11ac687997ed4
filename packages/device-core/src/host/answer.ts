import { allTextTokens, MessageTooLargeError } from '@lfo/protocol';
import type { Clock, DeviceMessage, MessageOf, RouterMessage } from '@lfo/protocol';
import { throwIfAborted } from '../abort.ts';
import { every } from '../clock.ts';
import { EngineError } from '../engine/engine.ts';
import type { EngineDone, EngineRequest, LoadedModel } from '../engine/engine.ts';
import type { Numbered } from '../session/kept-answers.ts';
import { DeltaOutbox } from './delta-outbox.ts';
import type { Place } from './slot-queue.ts';

/** Silence after which a running or waiting request is vouched for. */
export const keepAliveMs = 5_000;
/** Progress is not told more often. */
export const progressPeriodMs = 250;

type WantedScores = NonNullable<MessageOf<RouterMessage, 'complete'>['scores']>;

/** Where one answer goes: to the router of its session, by whichever link there is. */
export interface AnswerOutlet {
  /** What is said now is taken; while false, hold what can wait. */
  readonly writable: boolean;
  readonly maxMessageBytes: number;
  /** @throws MessageTooLargeError */
  say(message: Numbered): void;
  /** Not said again on another link. */
  progress(message: MessageOf<DeviceMessage, 'progress'>): void;
}

export interface AnswerContext {
  readonly outlet: AnswerOutlet;
  readonly clock: Clock;
  readonly heartbeat: EngineHeartbeat;
  /** The prompt, of so many tokens, has been read and answered. */
  readonly onRead?: (promptTokens: number) => void;
}

/** One `complete` from its acceptance to its `done` or `error`; exactly one of the two is sent. */
export class Answer {
  readonly #request: MessageOf<RouterMessage, 'complete'>;
  readonly #context: AnswerContext;
  readonly #outbox: DeltaOutbox;
  readonly #abort = new AbortController();
  #reason: EngineError | undefined;
  #resume: (() => void) | undefined;
  #hasBegun = false;
  #prefill = { done: 0, total: 0 };
  #lastProgressMs = -Infinity;

  constructor(request: MessageOf<RouterMessage, 'complete'>, context: AnswerContext) {
    this.#request = request;
    this.#context = context;
    this.#outbox = new DeltaOutbox(request.id, context.outlet, context.clock);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends it early; the error is what the router gets. */
  end(error: EngineError): void {
    this.#reason ??= error;
    this.#abort.abort(error);
  }

  /** Gives its slot to another request, unless something of it has been said. */
  giveWay(): boolean {
    if (this.#hasBegun || this.signal.aborted) return false;
    this.end(new EngineError('preempted', 'An interactive request took its place.', true));
    return true;
  }

  /** The link takes writes again. */
  drained(): void {
    this.#outbox.drained();
    if (this.#outbox.full) return;
    this.#resume?.();
    this.#resume = undefined;
  }

  /** Waits for its turn and answers; never rejects. */
  async run(place: Place, modelFor: (name: string) => LoadedModel): Promise<void> {
    const { outlet, clock } = this.#context;
    const { id, model, deadline_ms: deadlineMs } = this.#request;
    const cancelDeadline =
      deadlineMs === undefined
        ? undefined
        : clock.schedule(deadlineMs, () => this.end(new EngineError('deadline', 'The deadline passed.', false)));
    const endKeepAlive = every(clock, keepAliveMs, () => this.#keepAlive());
    try {
      await place.turn;
      const done = await this.#stream(modelFor(model));
      this.#outbox.flush();
      this.#context.onRead?.(done.usage.prompt_tokens);
      outlet.say(doneMessage(id, this.#outbox.takeNumber(), done));
    } catch (error) {
      // What was said before the failure is not taken back: it leaves before the error does.
      if (this.#reason !== undefined || error instanceof MessageTooLargeError) this.#outbox.discard();
      else this.#outbox.flush();
      outlet.say({ ...errorMessage(this.#reason ?? error), id, n: this.#outbox.takeNumber() });
    } finally {
      endKeepAlive();
      cancelDeadline?.();
      place.leave();
    }
  }

  async #stream(model: LoadedModel): Promise<EngineDone> {
    const { heartbeat } = this.#context;
    const onPrefill = (done: number, total: number): void => this.#onPrefill(done, total);
    for await (const event of model.run(engineRequest(this.#request), this.signal, onPrefill)) {
      throwIfAborted(this.signal);
      heartbeat.record();
      if (event.k === 'done') return event;
      this.#hasBegun = true;
      this.#outbox.push(event);
      if (this.#outbox.full) await this.#untilDrained();
    }
    throw new EngineError('engine', 'The engine ended its answer without saying so.', true);
  }

  #untilDrained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(this.#reason);
      this.signal.addEventListener('abort', onAbort, { once: true });
      this.#resume = () => {
        this.signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
  }

  #onPrefill(done: number, total: number): void {
    this.#context.heartbeat.record();
    this.#prefill = { done, total };
    if (done < total && this.#context.clock.nowMs() - this.#lastProgressMs < progressPeriodMs) return;
    this.#sendProgress();
  }

  #keepAlive(): void {
    if (this.#context.heartbeat.isAlive) this.#sendProgress();
  }

  #sendProgress(): void {
    this.#lastProgressMs = this.#context.clock.nowMs();
    this.#context.outlet.progress({ t: 'progress', id: this.#request.id, phase: 'prefill', ...this.#prefill });
  }
}

function doneMessage(id: number, n: number, done: EngineDone): MessageOf<DeviceMessage, 'done'> {
  return {
    t: 'done',
    id,
    n,
    finish_reason: done.finishReason,
    ...(done.cut === undefined ? {} : { cut: done.cut }),
    usage: done.usage,
    ...(done.timing === undefined ? {} : { timing: done.timing }),
    ...selfReport(done),
  };
}

function selfReport({ confidence, cloudHandoff }: EngineDone): {
  readonly self_report?: Readonly<Record<string, unknown>>;
} {
  if (confidence === undefined && cloudHandoff === undefined) return {};
  return {
    self_report: {
      ...(confidence === undefined ? {} : { confidence }),
      ...(cloudHandoff === undefined ? {} : { handoff: cloudHandoff }),
    },
  };
}

function engineRequest(message: MessageOf<RouterMessage, 'complete'>): EngineRequest {
  return {
    messages: message.messages,
    tools: message.tools,
    stop: message.stop ?? [],
    ...(message.prefix_key === undefined ? {} : { prefixKey: message.prefix_key }),
    ...(message.tool_choice === undefined ? {} : { toolChoice: message.tool_choice }),
    ...(message.response_format === undefined ? {} : { responseFormat: message.response_format }),
    ...(message.max_tokens === undefined ? {} : { maxTokens: message.max_tokens }),
    ...(message.temperature === undefined ? {} : { temperature: message.temperature }),
    ...(message.top_p === undefined ? {} : { topP: message.top_p }),
    ...(message.seed === undefined ? {} : { seed: message.seed }),
    ...(message.frequency_penalty === undefined ? {} : { frequencyPenalty: message.frequency_penalty }),
    ...(message.presence_penalty === undefined ? {} : { presencePenalty: message.presence_penalty }),
    ...(message.text === undefined ? {} : { text: message.text }),
    ...(message.scores === undefined ? {} : { scores: engineScores(message.scores) }),
  };
}

function engineScores({ text, alternatives }: WantedScores): NonNullable<EngineRequest['scores']> {
  return { top: alternatives, ...(text >= allTextTokens ? {} : { first: text }) };
}

/** The `error` the router gets. Only messages of our own errors leave: others may hold paths or prompts. */
export function errorMessage(error: unknown, id?: number): MessageOf<DeviceMessage, 'error'> {
  const { code, message, retryable } = describe(error);
  return { t: 'error', ...(id === undefined ? {} : { id }), code, message, retryable };
}

function describe(error: unknown): Pick<EngineError, 'code' | 'message' | 'retryable'> {
  if (error instanceof EngineError) return error;
  if (error instanceof MessageTooLargeError)
    return { code: 'internal', message: 'A part of the answer is too large.', retryable: false };
  return {
    code: 'internal',
    message: 'The engine failed unexpectedly. The log of the device host has more.',
    retryable: true,
  };
}

/** Longest time without a sign of the engine in which the host still vouches for it. */
export const engineQuietMs = 60_000;

/**
 * Whether the engine shows signs of life. The host keeps silent requests alive towards the router only while it does:
 * a timer alone would keep the requests of a hung engine alive for ever.
 */
export class EngineHeartbeat {
  readonly #clock: Clock;
  #lastMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.nowMs();
  }

  get isAlive(): boolean {
    return this.#clock.nowMs() - this.#lastMs < engineQuietMs;
  }

  /** The engine did something. */
  record(): void {
    this.#lastMs = this.#clock.nowMs();
  }
}
