import type { ServerResponse } from 'node:http';

import type { Clock } from '../../core/clock.ts';
import { errorBody, retryHeaders, toLfoError } from '../../server/error-body.ts';
import { ClientGoneError, type LfoError } from '../../core/errors.ts';
import type { InferenceEvent } from '../../core/events.ts';
import type { ChatExchange } from '../../core/exchange.ts';
import type { RequestTrace } from '../../core/trace.ts';
import { ChunkEncoder, doneFrame } from './chunk-encoder.ts';
import { Completion } from './completion.ts';
import { type Head, lfoHeaders, streamHead } from '../head.ts';
import { answerMetadata, egressOf } from '../metadata.ts';
import { ResponseWriter } from '../../server/response-writer.ts';

/** The operator's numbers for one response, and time. */
export interface RespondOptions {
  readonly clock: Clock;
  /** Longest silence of a stream before a comment frame. */
  readonly heartbeatMs: number;
  /** A client that takes nothing for this long is cut off. */
  readonly slowReaderMs: number;
}

/** How the response ended, for records and logs. */
export interface Delivery {
  /** What the client saw, or 499 where it left. A failure after the head was sent keeps 200. */
  readonly status: number;
  /** What went wrong, if anything did. */
  readonly error?: LfoError;
}

/** Long bodies leave in slices, so that a slow reader is told from one that does not read. */
const sliceBytes = 65_536;

/**
 * Writes the events of one answer as a completion or as chunks. Never throws: a failure becomes the client's error.
 * Reads `trace` when the head is written and again once the events have ended, so whoever writes it must be done with
 * the route before the first content event, and with all of it before the iteration ends. The events must throw when
 * the exchange's signal aborts.
 */
export async function respond(
  exchange: ChatExchange,
  events: AsyncIterable<InferenceEvent>,
  trace: RequestTrace,
  options: RespondOptions,
): Promise<Delivery> {
  for (const [param, why] of exchange.warnings) trace.warnings.set(param, why);
  const writer = new ResponseWriter(exchange.response, options.clock, options.slowReaderMs);
  try {
    if (exchange.request.stream) await stream(exchange, events, trace, options, writer);
    else await complete(exchange, events, trace, options, writer);
    return exchange.signal.aborted ? gone() : { status: 200 };
  } catch (thrown) {
    if (exchange.signal.aborted || exchange.response.destroyed) return gone();
    const error = toLfoError(thrown);
    const { headersSent } = exchange.response;
    await fail(exchange.response, error, trace, options, writer);
    return { status: headersSent ? 200 : error.status, error };
  }
}

async function complete(
  { request, response }: ChatExchange,
  events: AsyncIterable<InferenceEvent>,
  trace: RequestTrace,
  { clock }: RespondOptions,
  writer: ResponseWriter,
): Promise<void> {
  const completion = new Completion(request);
  for await (const event of events) completion.add(event);
  const body = completion.body(completionId(request.id), createdAt(trace));
  const metadata = answerMetadata(trace, clock.nowMs(), completion.facts);
  await sendJson(response, 200, lfoHeaders(trace), JSON.stringify({ ...body, lfo_metadata: metadata }), writer);
}

async function stream(
  { request, response }: ChatExchange,
  events: AsyncIterable<InferenceEvent>,
  trace: RequestTrace,
  { clock, heartbeatMs }: RespondOptions,
  writer: ResponseWriter,
): Promise<void> {
  const encoder = new ChunkEncoder(request, completionId(request.id), createdAt(trace));
  const stopHeartbeat = startHeartbeat(clock, heartbeatMs, writer, () => sendHead(response, trace));
  try {
    for await (const event of events) {
      const frames = encoder.encode(event);
      if (frames === '') continue;
      sendHead(response, trace);
      writer.push(frames);
      if (writer.isBlocked) await writer.drained();
    }
  } finally {
    stopHeartbeat();
  }
  const last = encoder.end(answerMetadata(trace, clock.nowMs(), encoder.facts));
  sendHead(response, trace);
  await writer.end(last + doneFrame);
}

function sendHead(response: ServerResponse, trace: RequestTrace): void {
  if (!response.headersSent) response.writeHead(200, streamHead(trace));
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

/** Before the head an error has its own status; after it a frame, and no [DONE]: a cut must not look like an end. */
async function fail(
  response: ServerResponse,
  error: LfoError,
  trace: RequestTrace,
  { clock }: RespondOptions,
  writer: ResponseWriter,
): Promise<void> {
  const body = errorBody(error);
  if (!response.headersSent) {
    // Nothing was sent out unless a cloud backend was tried.
    const head = { ...lfoHeaders(trace), 'x-lfo-egress': egressOf(trace) ?? 'none', ...retryHeaders(error) };
    return sendJson(response, error.status, head, JSON.stringify(body), writer);
  }
  const metadata = answerMetadata(trace, clock.nowMs(), {});
  await writer.end(`data: ${JSON.stringify({ ...body, lfo_metadata: metadata })}\n\n`);
}

async function sendJson(
  response: ServerResponse,
  status: number,
  head: Head,
  body: string,
  writer: ResponseWriter,
): Promise<void> {
  head['content-type'] = 'application/json; charset=utf-8';
  head['content-length'] = Buffer.byteLength(body);
  response.writeHead(status, head);
  // Head and text leave in one system call; as bytes they would take two.
  if (body.length <= sliceBytes) return writer.end(body);
  const bytes = Buffer.from(body);
  let at = 0;
  for (; at + sliceBytes < bytes.length && !response.destroyed; at += sliceBytes) {
    writer.write(bytes.subarray(at, at + sliceBytes));
    await writer.drained();
  }
  await writer.end(bytes.subarray(at));
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
