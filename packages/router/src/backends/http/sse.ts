import { createParser, type EventSourceParser } from 'eventsource-parser';
import { BackendError } from '../../core/errors.ts';
import { asciiOf } from './json-body.ts';

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
 * Parses an event stream by the rules of the WHATWG HTML standard, section 9.2.6, however the bytes are split: one read at
 * a time, without waiting. An event that is not ended by a blank line is discarded.
 */
export class SseReader {
  readonly #options: SseOptions;
  /** From the first character on that is not ASCII: a decoder keeps native memory until a full garbage collection. */
  #decoder: InstanceType<typeof TextDecoder> | undefined;
  readonly #parser: EventSourceParser;
  #batch: SseEvent[] = [];
  #isTooLong = false;
  #openLineBytes = 0;
  /** A character may have been cut at the end of the last read. */
  #isAscii = true;

  constructor(options: SseOptions) {
    const { maxEventBytes } = options;
    this.#options = options;
    this.#parser = createParser({
      maxBufferSize: maxEventBytes,
      onEvent: ({ event, data }) => {
        if (data.length > maxEventBytes) this.#isTooLong = true;
        else this.#batch.push(event === undefined ? { data } : { event, data });
      },
      onError: ({ type }) => {
        if (type === 'max-buffer-size-exceeded') this.#isTooLong = true;
      },
    });
  }

  /** The events that end in these bytes, in order; those before one that is too long among them. */
  read(bytes: Uint8Array): SseEvent[] {
    this.#parser.feed(this.#decode(bytes));
    // The parser skips comments and unknown fields without counting them, so an endless one is ours to notice.
    this.#openLineBytes = bytesAfterLineEnd(bytes, this.#openLineBytes);
    const batch = this.#batch;
    if (batch.length === 0) return [];
    this.#batch = [];
    return batch;
  }

  /** What came too long in the reads so far. Ask after the events of a read were taken. */
  get error(): BackendError | undefined {
    const { backend, maxEventBytes } = this.#options;
    return this.#isTooLong || this.#openLineBytes > maxEventBytes ? tooLong(backend) : undefined;
  }

  #decode(bytes: Uint8Array): string {
    const text = this.#isAscii ? asciiOf(bytes) : undefined;
    this.#isAscii = text !== undefined;
    if (text !== undefined) return text;
    // The parser strips the one byte order mark; the decoder must not strip another.
    this.#decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
    return this.#decoder.decode(bytes, { stream: true });
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
