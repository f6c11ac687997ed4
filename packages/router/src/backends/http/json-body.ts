import { isAscii } from 'node:buffer';
import { BackendError } from '../../core/errors.ts';
import { pipe, type Source } from '../../core/flow.ts';
import { parseJson, type JsonValue } from '../../core/json.ts';

/** Bounds of one unary answer. */
export interface BodyLimits {
  /** Id of the backend, for the error. */
  readonly backend: string;
  readonly maxBytes: number;
}

/** Gathers a whole body; at most the cap and one read are ever held. */
export class WholeBody {
  readonly #limits: BodyLimits;
  readonly #reads: Uint8Array[] = [];
  #size = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /** @throws BackendError `bad_answer` beyond the cap */
  add(bytes: Uint8Array): void {
    const { backend, maxBytes } = this.#limits;
    this.#size += bytes.length;
    if (this.#size > maxBytes) throw badAnswer(backend, 'The backend sent an answer beyond the size limit.');
    this.#reads.push(bytes);
  }

  /** Invalid UTF-8 becomes U+FFFD. */
  text(): string {
    const [only] = this.#reads;
    return textOf(this.#reads.length === 1 && only !== undefined ? only : Buffer.concat(this.#reads));
  }

  /** @throws BackendError `bad_answer` when it is not JSON */
  json(): JsonValue {
    const value = parseJson(this.text());
    if (value !== undefined) return value;
    throw badAnswer(this.#limits.backend, 'The backend answered with something other than JSON; check its base URL.');
  }
}

/**
 * Reads a whole body as text.
 * @throws BackendError `bad_answer` beyond the cap, the body left; whatever the body ends with passes through
 */
export async function readTextBody(body: Source<Uint8Array>, limits: BodyLimits): Promise<string> {
  return (await readWhole(body, limits)).text();
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
 * @throws BackendError `bad_answer` beyond the cap or when it is not JSON; whatever the body ends with passes through
 */
export async function readJsonBody(body: Source<Uint8Array>, limits: BodyLimits): Promise<JsonValue> {
  return (await readWhole(body, limits)).json();
}

function readWhole(body: Source<Uint8Array>, limits: BodyLimits): Promise<WholeBody> {
  const whole = new WholeBody(limits);
  return new Promise((resolve, reject) => {
    const flow = pipe(body, {
      put(bytes) {
        try {
          whole.add(bytes);
        } catch (error) {
          flow.stop();
          reject(error);
        }
      },
      end: (error) => (error === undefined ? resolve(whole) : reject(error)),
    });
  });
}

function badAnswer(backend: string, message: string): BackendError {
  return new BackendError(message, { fault: 'bad_answer', backend });
}
