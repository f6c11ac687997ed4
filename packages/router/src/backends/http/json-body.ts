import { isAscii } from 'node:buffer';
import { BackendError } from '../../core/errors.ts';
import { parseJson, type JsonValue } from '../../core/json.ts';

/** Bounds of one unary answer. */
export interface BodyLimits {
  /** Id of the backend, for the error. */
  readonly backend: string;
  readonly maxBytes: number;
}

/**
 * Reads a whole body as text; at most the cap and one read are ever held. Invalid UTF-8 becomes U+FFFD.
 * @throws BackendError `bad_answer` beyond the cap, the body destroyed; whatever the body throws passes through
 */
export async function readTextBody(body: AsyncIterable<Uint8Array>, limits: BodyLimits): Promise<string> {
  const reads: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of body) {
    size += bytes.length;
    if (size > limits.maxBytes) throw badAnswer(limits.backend, 'The backend sent an answer beyond the size limit.');
    reads.push(bytes);
  }
  const [only] = reads;
  const whole = reads.length === 1 && only !== undefined ? only : Buffer.concat(reads);
  return textOf(whole);
}

const decoder = new TextDecoder();

function textOf(bytes: Uint8Array): string {
  return asciiOf(bytes) ?? decoder.decode(bytes);
}

/** The text of bytes that are ASCII, a third of the cost of decoding; `undefined` for others. */
export function asciiOf(bytes: Uint8Array): string | undefined {
  if (!isAscii(bytes)) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/**
 * Reads a whole body as JSON.
 * @throws BackendError `bad_answer` beyond the cap or when it is not JSON; whatever the body throws passes through
 */
export async function readJsonBody(body: AsyncIterable<Uint8Array>, limits: BodyLimits): Promise<JsonValue> {
  const value = parseJson(await readTextBody(body, limits));
  if (value === undefined) {
    throw badAnswer(limits.backend, 'The backend answered with something other than JSON; check its base URL.');
  }
  return value;
}

function badAnswer(backend: string, message: string): BackendError {
  return new BackendError(message, { fault: 'bad_answer', backend });
}
