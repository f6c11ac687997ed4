import type { FastifyInstance, FastifyRequest } from 'fastify';

import type { LimitsConfig } from '../config/config.ts';
import type { Clock } from '../core/clock.ts';
import { LfoError, RequestError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import { parseBody } from './json-scan.ts';

/** As keys of one object so many take some 40 ms to parse; real requests hold a few thousand. */
const maxValues = 65_536;

/** A parsed body, its size on the wire and the monotonic time at which it had arrived. */
export class ReceivedBody {
  readonly value: JsonValue;
  /** What the value was read from; a text of which half a character had to be replaced is none of it. */
  readonly text: string;
  readonly bytes: number;
  readonly arrivedMs: number;

  constructor(value: JsonValue, text: string, bytes: number, arrivedMs: number) {
    this.value = value;
    this.text = text;
    this.bytes = bytes;
    this.arrivedMs = arrivedMs;
  }
}

/** @throws RequestError (400, no param) */
export function readBody(bytes: Buffer, { bodyDepth }: LimitsConfig, arrivedMs: number): ReceivedBody {
  const { value, text } = parseBody(bytes, { depth: bodyDepth, values: maxValues });
  return new ReceivedBody(value, text, bytes.length, arrivedMs);
}

/** Makes JSON the only body the server reads; Fastify counts the bytes and answers 413 while reading. */
export function useJsonBodies(app: FastifyInstance, limits: LimitsConfig, clock: Clock): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    try {
      done(null, readBody(bytes, limits, clock.nowMs()));
    } catch (error) {
      done(error instanceof Error ? error : new Error('unreadable body', { cause: error }));
    }
  });
}

/** Refuses compressed bodies before a byte of them is read. */
export function checkEncoding({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return;
  throw new LfoError('Compressed bodies are not accepted: send the JSON as it is.', {
    code: 'unsupported_content_encoding',
    status: 415,
    param: 'content-encoding',
  });
}

/** @throws RequestError where no body came */
export function receivedBody(request: Pick<FastifyRequest, 'body'>): ReceivedBody {
  if (request.body instanceof ReceivedBody) return request.body;
  throw new RequestError('The request body is empty: send a JSON object.', { code: 'invalid_json' });
}
