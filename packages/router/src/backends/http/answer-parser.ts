/** The head of one answer. */
export interface AnswerHead {
  readonly status: number;
  /** Lower-case names; a name that came several times has its values in order. */
  readonly headers: Readonly<Record<string, string | string[]>>;
}

/** What came is not an answer in HTTP/1.1, or could be read in two ways. */
export class NotHttpError extends Error {
  override readonly name = 'NotHttpError';
}

/** Of a head, of the trailers, and of a line between chunks. */
const maxHeadBytes = 16_384;

const headEnd = Buffer.from('\r\n\r\n');
const CR = 13;
const LF = 10;

/** A header's name (RFC 9110, 5.6.2) and its value: nothing that could end a line early, no folded lines. */
const field = String.raw`[!#$%&'*+\-.^_\x60|~\dA-Za-z]+:[\t\x20-\x7e\x80-\xff]*`;
const plainHead = new RegExp(String.raw`^HTTP/1\.[01] [1-9]\d\d(?: [^\r\n]*)?(?:\r\n${field})*$`);
/** A frame's own fields must not come after it. */
const plainTrailer = new RegExp(`^(?!(?:content-length|transfer-encoding):)${field}$`, 'i');
const plainExtensions =
  /^(?:;[!#$%&'*+\-.^_`|~\dA-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~\dA-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/;

/** What is expected next. */
type Part = 'head' | 'size' | 'chunk' | 'chunkEnd' | 'trailer' | 'length' | 'untilClosed' | 'nothing';

/**
 * Reads the answers of one connection, one after the other, however the bytes are split. It knows HTTP/1.1's plain form
 * alone and refuses whatever could be read in two ways: both framings or two lengths, an encoding of the transfer
 * other than `chunked`, folded lines, control characters, line ends without CR.
 */
export class AnswerParser {
  /** Of the answer that is being read, once it has come. */
  head: AnswerHead | undefined;
  /** Whether another request may follow on the connection. */
  isKept = false;
  /** Why nothing more can be read. What `read` returned before is good. */
  error: NotHttpError | undefined;
  /** Whether any of the answer has come. */
  hasBegun = false;
  #part: Part = 'head';
  /** Bytes of the body, or of its chunk, that are still to come. */
  #left = 0;
  #trailerBytes = 0;
  /** The beginning of a head or line whose end has not come. */
  #rest: Buffer | undefined;

  /** Whether the answer has come to its end. */
  get isDone(): boolean {
    return this.#part === 'nothing';
  }

  /** Another answer comes. */
  next(): void {
    this.head = undefined;
    this.hasBegun = false;
    this.#part = 'head';
  }

  /** Whether the answer is complete, now that the connection has ended. */
  endsWithConnection(): boolean {
    return this.#part === 'untilClosed';
  }

  /** The bytes of the body among these, in memory of their own; these are overwritten. */
  read(read: Buffer): Buffer | undefined {
    this.hasBegun = true;
    let bytes = read;
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, read]);
      this.#rest = undefined;
    }
    let at = 0;
    while (this.#part === 'head') {
      const from = at;
      at = this.#readHead(bytes, at);
      if (at === from || this.error !== undefined) return undefined;
    }
    if (this.#part === 'untilClosed') return copyOf(bytes, at, bytes.length);
    if (this.#part === 'length') return this.#readLength(bytes, at);
    if (this.#part !== 'nothing') return this.#readChunks(bytes, at);
    this.#end(bytes, at);
    return undefined;
  }

  /** The answer ends here. Bytes that nobody asked for may follow, after which the connection is of no use. */
  #end(bytes: Buffer, at: number): void {
    this.#part = 'nothing';
    if (at < bytes.length) this.isKept = false;
  }

  #readLength(bytes: Buffer, at: number): Buffer | undefined {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#end(bytes, end);
    return copyOf(bytes, at, end);
  }

  /** Moves what the chunks hold together within the bytes. */
  #readChunks(bytes: Buffer, from: number): Buffer | undefined {
    let at = from;
    let to = from;
    while (at < bytes.length) {
      if (this.#part === 'chunk') {
        const end = Math.min(bytes.length, at + this.#left);
        if (to !== at) bytes.copyWithin(to, at, end);
        to += end - at;
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#part = 'chunkEnd';
        continue;
      }
      const lineEnd = bytes.indexOf(CR, at);
      if (lineEnd === -1 || lineEnd + 1 === bytes.length) {
        this.#keep(bytes, at);
        break;
      }
      if (bytes[lineEnd + 1] !== LF || !this.#readLine(bytes, at, lineEnd)) {
        this.#fail();
        break;
      }
      at = lineEnd + 2;
      if (this.isDone) {
        this.#end(bytes, at);
        break;
      }
    }
    return copyOf(bytes, from, to);
  }

  /** One line between the chunks, or after them. Returns whether it is in order. */
  #readLine(bytes: Buffer, at: number, end: number): boolean {
    if (this.#part === 'chunkEnd') {
      this.#part = 'size';
      return at === end;
    }
    if (this.#part === 'trailer') {
      this.#trailerBytes += end - at;
      if (at === end) this.#part = 'nothing';
      return at === end || (this.#trailerBytes <= maxHeadBytes && plainTrailer.test(bytes.toString('latin1', at, end)));
    }
    let size = 0;
    let digits = at;
    for (let digit; digits < end && (digit = hexDigit(bytes[digits])) !== -1; digits++) size = size * 16 + digit;
    this.#left = size;
    this.#part = size === 0 ? 'trailer' : 'chunk';
    this.#trailerBytes = 0;
    if (digits === at || size > Number.MAX_SAFE_INTEGER) return false;
    return digits === end || plainExtensions.test(bytes.toString('latin1', digits, end));
  }

  /** Returns where the head ends; `at` where its end has not come, or it is none. */
  #readHead(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(headEnd, at);
    if (end === -1) {
      this.#keep(bytes, at);
      // Whoever speaks something else may wait for us to speak.
      const text = bytes.toString('latin1', at, at + maxHeadBytes);
      if (!'HTTP/1.'.startsWith(text.slice(0, 7)) || /(?<!\r)\n/.test(text)) this.#fail();
      return at;
    }
    const text = bytes.toString('latin1', at, end);
    if (text.length > maxHeadBytes || !plainHead.test(text)) {
      this.#fail();
      return at;
    }
    const status = Number(text.slice(9, 12));
    const headers = headersOf(text);
    if (status >= 200) {
      this.#begin(status, headers, text[7] === '1');
    } else if (status === 101 || text[7] === '0' || closes(headers['connection'])) {
      // An interim answer, which the real one would follow, were this the protocol still.
      this.#fail();
      return at;
    }
    return end + 4;
  }

  /** Finds out how the body is framed (RFC 9112, 6.3). */
  #begin(status: number, headers: Record<string, string | string[]>, isHttp11: boolean): void {
    const encoding = headers['transfer-encoding'];
    const length = headers['content-length'];
    const isChunked = encoding !== undefined;
    if (isChunked && (length !== undefined || String(encoding).toLowerCase() !== 'chunked')) return this.#fail();
    if (length !== undefined && (typeof length !== 'string' || !/^\d{1,15}$/.test(length))) return this.#fail();
    const hasBody = status !== 204 && status !== 304;
    this.#left = Number(length ?? 0);
    if (isChunked) this.#part = hasBody ? 'size' : 'nothing';
    else if (length !== undefined) this.#part = hasBody && this.#left > 0 ? 'length' : 'nothing';
    else this.#part = hasBody ? 'untilClosed' : 'nothing';
    // A body that must not be there may still come.
    const isClear = this.#part !== 'untilClosed' && (hasBody || (!isChunked && this.#left === 0));
    this.isKept = isClear && isHttp11 && !closes(headers['connection']);
    this.head = { status, headers };
  }

  #keep(bytes: Buffer, at: number): void {
    if (bytes.length - at > maxHeadBytes + headEnd.length) this.#fail();
    else this.#rest = Buffer.from(bytes.subarray(at));
  }

  #fail(): void {
    this.error = new NotHttpError('Not an answer in plain HTTP/1.1.');
    this.#rest = undefined;
  }
}

function copyOf(bytes: Buffer, from: number, to: number): Buffer | undefined {
  return to > from ? Buffer.from(bytes.subarray(from, to)) : undefined;
}

function headersOf(head: string): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (let lineEnd = head.indexOf('\r\n'); lineEnd !== -1;) {
    const colon = head.indexOf(':', lineEnd);
    const name = head.slice(lineEnd + 2, colon).toLowerCase();
    lineEnd = head.indexOf('\r\n', colon);
    let from = colon + 1;
    let to = lineEnd === -1 ? head.length : lineEnd;
    while (from < to && isBlank(head.charCodeAt(from))) from++;
    while (from < to && isBlank(head.charCodeAt(to - 1))) to--;
    const value = head.slice(from, to);
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (before === undefined) headers[name] = value;
    else if (typeof before === 'string') headers[name] = [before, value];
    else before.push(value);
  }
  return headers;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function hexDigit(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function closes(connection: string | string[] | undefined): boolean {
  return connection !== undefined && /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i.test(String(connection));
}
