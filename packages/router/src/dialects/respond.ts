import type { Cancellation } from '../core/abort.ts';
import type { ServerResponse } from 'node:http';

import type { Clock } from '../core/clock.ts';
import { retryHeaders, toLfoError } from '../server/error-body.ts';
import { ClientGoneError, type LfoError } from '../core/errors.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { AnswerWriter, Delivery } from '../core/sink.ts';
import { tokensOf } from '../core/token-estimate.ts';
import type { RequestTrace } from '../core/trace.ts';
import { type Head, lfoHeaders, streamHead } from './head.ts';
import { answerMetadata } from './metadata.ts';
import { encodingOf, ResponseWriter } from '../server/response-writer.ts';
import type { AnswerContext, AnswerFormat, AnswerStream, WholeAnswer } from './wire.ts';

/** The operator's numbers for one response. */
export interface ResponsePace {
  /** Longest silence of a stream before a comment frame. */
  readonly heartbeatMs: number;
  /** A client that takes nothing for this long is cut off. */
  readonly slowReaderMs: number;
}

/** One response that nobody has written to yet. */
export interface OpenResponse {
  readonly isStream: boolean;
  readonly format: AnswerFormat;
  readonly response: ServerResponse;
  /** Aborts when the client leaves. */
  readonly signal: Cancellation;
  readonly clock: Clock;
  readonly pace: ResponsePace;
}

/** Long bodies leave in slices, to tell a slow reader from one that does not read. */
const sliceBytes = 65_536;

/** The writer of one answer, whole or as a stream. Heads and metadata are read from the trace. */
export function openWriter(open: OpenResponse, trace: RequestTrace): AnswerWriter {
  return open.isStream ? new StreamWriter(open, trace) : new WholeWriter(open, trace);
}

/** Gathers the events and writes them as one body; commits with it. */
class WholeWriter implements AnswerWriter {
  readonly #open: OpenResponse;
  readonly #trace: RequestTrace;
  readonly #out: ResponseWriter;
  readonly #answer: WholeAnswer;

  constructor(open: OpenResponse, trace: RequestTrace) {
    this.#open = open;
    this.#trace = trace;
    this.#out = outOf(open);
    this.#answer = open.format.whole(contextOf(open, trace));
  }

  get committed(): boolean {
    return this.#open.response.headersSent;
  }

  write(events: readonly InferenceEvent[]): undefined {
    warnOfImages(events, this.#open.format, this.#trace);
    for (const event of events) this.#answer.add(event);
  }

  async end(): Promise<Delivery> {
    const { response, clock, format } = this.#open;
    const trace = this.#trace;
    try {
      const body = this.#answer.body(answerMetadata(trace, clock.nowMs(), this.#answer.facts()));
      await sendJson(response, 200, { ...lfoHeaders(trace), ...format.headers }, JSON.stringify(body), this.#out);
    } catch (error) {
      return this.fail(error);
    }
    return deliveryOf(this.#open);
  }

  async fail(thrown: unknown): Promise<Delivery> {
    if (hasLeft(this.#open)) return gone();
    const error = toLfoError(thrown);
    await sendError(this.#open, error, this.#trace, this.#out);
    return { status: error.status, error };
  }
}

/** Writes chunks as they come; commits with the first that carries a part of the answer. */
class StreamWriter implements AnswerWriter {
  readonly #open: OpenResponse;
  readonly #trace: RequestTrace;
  readonly #out: ResponseWriter;
  readonly #encoder: AnswerStream;
  readonly #stopHeartbeat: () => void;
  #committed = false;

  constructor(open: OpenResponse, trace: RequestTrace) {
    const { clock, format, pace } = open;
    this.#open = open;
    this.#trace = trace;
    this.#out = outOf(open);
    this.#encoder = format.stream(contextOf(open, trace));
    this.#stopHeartbeat = startHeartbeat(clock, pace.heartbeatMs, this.#out, () => {
      this.#sendHead(this.#committed);
      return this.#encoder.heartbeat();
    });
  }

  get committed(): boolean {
    return this.#committed;
  }

  write(events: readonly InferenceEvent[]): Promise<void> | undefined {
    warnOfImages(events, this.#open.format, this.#trace);
    let frames = '';
    for (const event of events) frames += this.#encoder.encode(event);
    if (frames === '') return undefined;
    this.#committed = true;
    this.#sendHead(true);
    this.#out.push(frames);
    return this.#out.isBlocked ? this.#out.drained() : undefined;
  }

  async end(): Promise<Delivery> {
    this.#stopHeartbeat();
    const { clock } = this.#open;
    try {
      const last = this.#encoder.end(answerMetadata(this.#trace, clock.nowMs(), this.#encoder.facts));
      this.#sendHead(true);
      await this.#out.end(last);
    } catch (error) {
      return this.fail(error);
    }
    return deliveryOf(this.#open);
  }

  /** Before the head an error has its own status; after it a frame: a cut must not look like an end. */
  async fail(thrown: unknown): Promise<Delivery> {
    this.#stopHeartbeat();
    if (hasLeft(this.#open)) return gone();
    const { response, clock } = this.#open;
    const error = toLfoError(thrown);
    if (!response.headersSent) {
      await sendError(this.#open, error, this.#trace, this.#out);
      return { status: error.status, error };
    }
    const metadata = answerMetadata(this.#trace, clock.nowMs(), {});
    await this.#out.end(this.#encoder.fail(error, metadata));
    return { status: 200, error };
  }

  #sendHead(isDecided: boolean): void {
    const { response, format } = this.#open;
    if (response.headersSent) return;
    const head = { ...streamHead(this.#trace, isDecided), ...format.headers, 'content-type': format.streamType };
    this.#out.begin(200, head);
  }
}

function warnOfImages(events: readonly InferenceEvent[], format: AnswerFormat, trace: RequestTrace): void {
  if (format.carriesImages === true || events.every(({ type }) => type !== 'image')) return;
  trace.warnings.set('images', 'the answer holds images, which this wire has no place for: ask /v1/chat/completions');
}

function outOf({ response, clock, pace }: OpenBody): ResponseWriter {
  return new ResponseWriter(response, clock, pace.slowReaderMs);
}

/** Comments keep proxies and clients from giving up while a backend reads or waits. Returns the way to stop them. */
function startHeartbeat(clock: Clock, heartbeatMs: number, writer: ResponseWriter, frame: () => string): () => void {
  let cancel = clock.schedule(heartbeatMs, beat);
  return () => cancel();

  function beat(): void {
    const silentMs = clock.nowMs() - writer.lastWriteMs;
    const isDue = silentMs >= heartbeatMs && !writer.isBlocked;
    if (isDue) {
      writer.push(frame());
      writer.flush();
    }
    cancel = clock.schedule(isDue || writer.isBlocked ? heartbeatMs : heartbeatMs - silentMs, beat);
  }
}

/** A response that is one body. */
type OpenBody = Pick<OpenResponse, 'response' | 'signal' | 'clock' | 'pace'>;

/** Writes an answer that needs no gathering. */
export async function sendWhole(open: OpenBody, trace: RequestTrace, body: object): Promise<Delivery> {
  await sendJson(open.response, 200, lfoHeaders(trace), JSON.stringify(body), outOf(open));
  return deliveryOf(open);
}

/** Writes that there is no answer, in the envelope of its wire. */
export async function sendFailure(
  open: OpenBody,
  trace: RequestTrace,
  thrown: unknown,
  errorBody: (error: LfoError) => object,
): Promise<Delivery> {
  if (hasLeft(open)) return gone();
  const error = toLfoError(thrown);
  await sendError({ ...open, format: { headers: {}, errorBody } }, error, trace, outOf(open));
  return { status: error.status, error };
}

function sendError(
  {
    response,
    format,
  }: Pick<OpenResponse, 'response'> & { readonly format: Pick<AnswerFormat, 'headers' | 'errorBody'> },
  error: LfoError,
  trace: RequestTrace,
  out: ResponseWriter,
): Promise<void> {
  const head = { ...lfoHeaders(trace), ...format.headers, ...retryHeaders(error) };
  return sendJson(response, error.status, head, JSON.stringify(format.errorBody(error)), out);
}

async function sendJson(
  response: ServerResponse,
  status: number,
  head: Head,
  body: string,
  out: ResponseWriter,
): Promise<void> {
  head['content-type'] = 'application/json; charset=utf-8';
  const length = Buffer.byteLength(body);
  head['content-length'] = length;
  response.writeHead(status, head);
  // Head and text leave in one system call; as bytes they would take two.
  if (body.length <= sliceBytes) return out.end(body, encodingOf(body, length));
  const bytes = Buffer.from(body);
  let at = 0;
  for (; at + sliceBytes < bytes.length && !response.destroyed; at += sliceBytes) {
    out.write(bytes.subarray(at, at + sliceBytes));
    await out.drained();
  }
  await out.end(bytes.subarray(at));
}

function hasLeft({ signal, response }: OpenBody): boolean {
  return signal.aborted || response.destroyed;
}

function deliveryOf({ signal }: Pick<OpenResponse, 'signal'>): Delivery {
  return signal.aborted ? gone() : { status: 200 };
}

function gone(): Delivery {
  return { status: 499, error: new ClientGoneError() };
}

function contextOf({ clock }: OpenResponse, trace: RequestTrace): AnswerContext {
  return {
    createdS: Math.floor(trace.startedAtMs / 1000),
    // A bound counts bytes: clients would show four times the prompt until the answer's end.
    promptTokens: () =>
      trace.promptTokensFrom === 'bound' && trace.promptTokens !== undefined
        ? tokensOf(trace.promptTokens)
        : trace.promptTokens,
    elapsedMs: () => clock.nowMs() - trace.startMs,
  };
}
