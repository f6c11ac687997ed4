import type { ServerResponse } from 'node:http';

import type { Clock } from '../../core/clock.ts';
import { errorBody, retryHeaders, toLfoError } from '../../server/error-body.ts';
import { ClientGoneError, type LfoError } from '../../core/errors.ts';
import type { InferenceEvent } from '../../core/events.ts';
import type { ChatRequest } from '../../core/request.ts';
import type { AnswerWriter, Delivery } from '../../core/sink.ts';
import type { RequestTrace } from '../../core/trace.ts';
import { ChunkEncoder, doneFrame } from './chunk-encoder.ts';
import { Completion } from './completion.ts';
import { type Head, lfoHeaders, streamHead } from '../head.ts';
import { answerMetadata } from '../metadata.ts';
import { ResponseWriter } from '../../server/response-writer.ts';

/** The operator's numbers for one response. */
export interface ResponsePace {
  /** Longest silence of a stream before a comment frame. */
  readonly heartbeatMs: number;
  /** A client that takes nothing for this long is cut off. */
  readonly slowReaderMs: number;
}

/** One response that nobody has written to yet. */
export interface OpenResponse {
  readonly request: ChatRequest;
  readonly response: ServerResponse;
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly pace: ResponsePace;
}

/** Long bodies leave in slices, to tell a slow reader from one that does not read. */
const sliceBytes = 65_536;

/** The writer of one answer, as a completion or as chunks. Heads and metadata are read from the trace. */
export function openWriter(open: OpenResponse, trace: RequestTrace): AnswerWriter {
  return open.request.stream ? new StreamWriter(open, trace) : new CompletionWriter(open, trace);
}

/** Gathers the events and writes them as one body; commits with it. */
class CompletionWriter implements AnswerWriter {
  readonly #open: OpenResponse;
  readonly #trace: RequestTrace;
  readonly #out: ResponseWriter;
  readonly #completion: Completion;

  constructor(open: OpenResponse, trace: RequestTrace) {
    this.#open = open;
    this.#trace = trace;
    this.#out = outOf(open);
    this.#completion = new Completion(open.request);
  }

  get committed(): boolean {
    return this.#open.response.headersSent;
  }

  write(events: readonly InferenceEvent[]): undefined {
    for (const event of events) this.#completion.add(event);
  }

  async end(): Promise<Delivery> {
    const { request, response, clock } = this.#open;
    const trace = this.#trace;
    try {
      const body = this.#completion.body(completionId(request.id), createdAt(trace));
      const metadata = answerMetadata(trace, clock.nowMs(), this.#completion.facts);
      await sendJson(response, 200, lfoHeaders(trace), JSON.stringify({ ...body, lfo_metadata: metadata }), this.#out);
    } catch (error) {
      return this.fail(error);
    }
    return deliveryOf(this.#open);
  }

  async fail(thrown: unknown): Promise<Delivery> {
    if (hasLeft(this.#open)) return gone();
    const error = toLfoError(thrown);
    await sendError(this.#open.response, error, this.#trace, this.#out);
    return { status: error.status, error };
  }
}

/** Writes chunks as they come; commits with the first that carries a part of the answer. */
class StreamWriter implements AnswerWriter {
  readonly #open: OpenResponse;
  readonly #trace: RequestTrace;
  readonly #out: ResponseWriter;
  readonly #encoder: ChunkEncoder;
  readonly #stopHeartbeat: () => void;
  #committed = false;

  constructor(open: OpenResponse, trace: RequestTrace) {
    const { request, clock, pace } = open;
    this.#open = open;
    this.#trace = trace;
    this.#out = outOf(open);
    this.#encoder = new ChunkEncoder(request, completionId(request.id), createdAt(trace));
    this.#stopHeartbeat = startHeartbeat(clock, pace.heartbeatMs, this.#out, () => this.#sendHead(this.#committed));
  }

  get committed(): boolean {
    return this.#committed;
  }

  write(events: readonly InferenceEvent[]): Promise<void> | undefined {
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
      await this.#out.end(last + doneFrame);
    } catch (error) {
      return this.fail(error);
    }
    return deliveryOf(this.#open);
  }

  /** Before the head an error has its own status; after it a frame, and no [DONE]: a cut must not look like an end. */
  async fail(thrown: unknown): Promise<Delivery> {
    this.#stopHeartbeat();
    if (hasLeft(this.#open)) return gone();
    const { response, clock } = this.#open;
    const error = toLfoError(thrown);
    if (!response.headersSent) {
      await sendError(response, error, this.#trace, this.#out);
      return { status: error.status, error };
    }
    const metadata = answerMetadata(this.#trace, clock.nowMs(), {});
    await this.#out.end(`data: ${JSON.stringify({ ...errorBody(error), lfo_metadata: metadata })}\n\n`);
    return { status: 200, error };
  }

  #sendHead(isDecided: boolean): void {
    const { response } = this.#open;
    if (!response.headersSent) response.writeHead(200, streamHead(this.#trace, isDecided));
  }
}

function outOf({ response, clock, pace }: OpenResponse): ResponseWriter {
  return new ResponseWriter(response, clock, pace.slowReaderMs);
}

/** Comments keep proxies and clients from giving up while a backend reads or waits. Returns the way to stop them. */
function startHeartbeat(clock: Clock, heartbeatMs: number, writer: ResponseWriter, sendHead: () => void): () => void {
  let cancel = clock.schedule(heartbeatMs, beat);
  return () => cancel();

  function beat(): void {
    const silentMs = clock.nowMs() - writer.lastWriteMs;
    const isDue = silentMs >= heartbeatMs && !writer.isBlocked;
    if (isDue) {
      sendHead();
      writer.push(': waiting\n\n');
      writer.flush();
    }
    cancel = clock.schedule(isDue || writer.isBlocked ? heartbeatMs : heartbeatMs - silentMs, beat);
  }
}

function sendError(response: ServerResponse, error: LfoError, trace: RequestTrace, out: ResponseWriter): Promise<void> {
  const head = { ...lfoHeaders(trace), ...retryHeaders(error) };
  return sendJson(response, error.status, head, JSON.stringify(errorBody(error)), out);
}

async function sendJson(
  response: ServerResponse,
  status: number,
  head: Head,
  body: string,
  out: ResponseWriter,
): Promise<void> {
  head['content-type'] = 'application/json; charset=utf-8';
  head['content-length'] = Buffer.byteLength(body);
  response.writeHead(status, head);
  // Head and text leave in one system call; as bytes they would take two.
  if (body.length <= sliceBytes) return out.end(body);
  const bytes = Buffer.from(body);
  let at = 0;
  for (; at + sliceBytes < bytes.length && !response.destroyed; at += sliceBytes) {
    out.write(bytes.subarray(at, at + sliceBytes));
    await out.drained();
  }
  await out.end(bytes.subarray(at));
}

function hasLeft({ signal, response }: OpenResponse): boolean {
  return signal.aborted || response.destroyed;
}

function deliveryOf({ signal }: OpenResponse): Delivery {
  return signal.aborted ? gone() : { status: 200 };
}

function gone(): Delivery {
  return { status: 499, error: new ClientGoneError() };
}

function completionId(requestId: string): string {
  return `chatcmpl-${requestId}`;
}

function createdAt(trace: RequestTrace): number {
  return Math.floor(trace.startedAtMs / 1000);
}
