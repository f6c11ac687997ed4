import { createParser } from 'eventsource-parser';
import { BackendError } from '../../core/errors.ts';

/** One dispatched event; `data` joins the event's data lines with LF. */
export interface SseEvent {
  /** Absent: the default type, `message`. */
  readonly event?: string;
  readonly data: string;
}

export interface SseOptions {
  /** Id of the backend, for the error. */
  readonly backend: string;
  /** Cap of one line and of one event; at most about twice this is ever buffered. */
  readonly maxEventBytes: number;
}

const LF = 10;
const CR = 13;

/**
 * Parses an event stream by the rules of the WHATWG HTML standard, section 9.2.6, however the bytes are split. Yields
 * the events of each read as one batch, never an empty one. An event that is not ended by a blank line is discarded.
 * Leaving the loop early destroys the body.
 * @throws BackendError `bad_answer` when a line or an event exceeds the cap; whatever the body throws passes through
 */
export async function* readSse(body: AsyncIterable<Uint8Array>, options: SseOptions): AsyncGenerator<SseEvent[], void> {
  const { maxEventBytes } = options;
  // The parser strips the one byte order mark; the decoder must not strip another.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let batch: SseEvent[] = [];
  let isTooLong = false;
  const parser = createParser({
    maxBufferSize: maxEventBytes,
    onEvent({ event, data }) {
      if (data.length > maxEventBytes) isTooLong = true;
      else batch.push(event === undefined ? { data } : { event, data });
    },
    onError(error) {
      if (error.type === 'max-buffer-size-exceeded') isTooLong = true;
    },
  });

  let openLineBytes = 0;
  for await (const bytes of body) {
    parser.feed(decoder.decode(bytes, { stream: true }));
    // The parser skips comments and unknown fields without counting them, so an endless one is ours to notice.
    openLineBytes = bytesAfterLineEnd(bytes, openLineBytes);
    if (batch.length > 0) {
      yield batch;
      batch = [];
    }
    if (isTooLong || openLineBytes > maxEventBytes) throw tooLong(options.backend);
  }
}

function bytesAfterLineEnd(bytes: Uint8Array, openLineBytes: number): number {
  const lineEnd = Math.max(bytes.lastIndexOf(LF), bytes.lastIndexOf(CR));
  return lineEnd === -1 ? openLineBytes + bytes.length : bytes.length - lineEnd - 1;
}

function tooLong(backend: string): BackendError {
  return new BackendError('The backend sent a stream event beyond the size limit; raise limits.upstream_event_bytes.', {
    fault: 'bad_answer',
    backend,
  });
}
