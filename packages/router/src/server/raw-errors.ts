import type { Duplex } from 'node:stream';
import { STATUS_CODES } from 'node:http';

import { errorBody } from './error-body.ts';
import { LfoError } from '../core/errors.ts';
import type { IdSource } from '../core/id.ts';

/**
 * Answers what the HTTP parser refused, for which no request object exists: 408, 431 or 400 with the usual envelope.
 * Where an answer is already under way on the socket, it is cut instead: bytes of ours would corrupt it.
 * @returns what was answered
 */
export function answerClientError(
  error: Error,
  socket: Duplex,
  nextId: IdSource,
): { readonly id: string; readonly error: LfoError } | undefined {
  if (!socket.writable || hasBegunAnswer(socket)) {
    socket.destroy();
    return undefined;
  }
  const id = nextId();
  const refusal = refusalOf('code' in error ? error.code : undefined);
  const body = JSON.stringify(errorBody(refusal));
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${id}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  return { id, error: refusal };
}

function refusalOf(code: unknown): LfoError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new LfoError('The request did not arrive in time.', { code: 'request_timeout', status: 408 });
  }
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new LfoError('The request headers are too large.', { code: 'headers_too_large', status: 431 });
  }
  return new LfoError('The request is not valid HTTP.', { code: 'bad_http', status: 400 });
}

/** Node keeps the answer being written here, and looks at it for the same purpose. */
function hasBegunAnswer(socket: Duplex): boolean {
  const answer: unknown = Reflect.get(socket, '_httpMessage');
  return typeof answer === 'object' && answer !== null && Reflect.get(answer, '_headerSent') === true;
}
