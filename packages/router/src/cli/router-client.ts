import { Agent, request } from 'undici';
import { createParser } from 'eventsource-parser';
import { isLoopback } from '../config/addresses.ts';
import type { LfoConfig } from '../config/config.ts';
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from '../core/json.ts';
import { CliError } from './terminal.ts';

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** An answer of a running LFO. */
export interface RouterAnswer {
  readonly status: number;
  readonly body: JsonValue | undefined;
}

/** Talks to an LFO that runs already, on behalf of a command. */
export class RouterClient {
  readonly url: string;
  readonly #headers: Readonly<Record<string, string>>;
  // A model may think for minutes before its first word; whoever waits can press Ctrl-C.
  readonly #agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, connectTimeout: 2_000 });

  constructor(url: string, authToken: string | undefined) {
    this.url = url.replace(/\/+$/, '');
    this.#headers = authToken === undefined ? {} : { authorization: `Bearer ${authToken}` };
  }

  /** @throws CliError when nothing answers there. */
  async get(path: string, signal?: AbortSignal): Promise<RouterAnswer> {
    const { statusCode, body } = await this.#send('GET', path, undefined, signal);
    return { status: statusCode, body: parseJson(await textOf(body, signal)) };
  }

  /** A file of this router at another of its addresses, asked for without a key; `undefined` where it is not had there. */
  async openFile(url: string): Promise<Buffer | undefined> {
    try {
      const { statusCode, body } = await request(url, { dispatcher: this.#agent });
      const bytes = Buffer.from(await body.arrayBuffer());
      return statusCode === 200 ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  /** @throws CliError when nothing answers there. */
  async ask(path: string, json: JsonObject): Promise<RouterAnswer> {
    const { statusCode, body } = await this.#send('POST', path, json, undefined);
    return { status: statusCode, body: parseJson(await textOf(body)) };
  }

  /** @throws CliError when nothing answers there, or with the error's own message when it refuses. */
  async post(path: string, json: JsonObject, signal?: AbortSignal): Promise<JsonObject> {
    const { statusCode, body } = await this.#send('POST', path, json, signal);
    const answer = parseJson(await textOf(body, signal));
    if (statusCode >= 400 || !isJsonObject(answer)) throw refusal(statusCode, answer);
    return answer;
  }

  /**
   * Any request of the admin API; an answer without a body is an empty object.
   * @throws CliError as `post`
   */
  async send(method: Method, path: string, json?: JsonObject): Promise<JsonObject> {
    const { statusCode, body } = await this.#send(method, path, json, undefined);
    const answer = parseJson(await textOf(body));
    if (statusCode >= 400) throw refusal(statusCode, answer);
    return isJsonObject(answer) ? answer : {};
  }

  /**
   * Data of each server-sent event up to `[DONE]`.
   * @throws CliError as `post`, also for an error frame in the stream.
   */
  async *stream(path: string, json: JsonObject, signal: AbortSignal): AsyncGenerator<JsonObject> {
    const { statusCode, body } = await this.#send('POST', path, json, signal);
    if (statusCode >= 400) throw refusal(statusCode, parseJson(await textOf(body, signal)));
    const events: string[] = [];
    const parser = createParser({ onEvent: ({ data }) => events.push(data) });
    const decoder = new TextDecoder();
    for await (const chunk of whole(body, signal)) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      for (const data of events.splice(0)) {
        if (data === '[DONE]') return;
        const value = parseJson(data);
        if (!isJsonObject(value)) continue;
        if (isJsonObject(value['error'])) throw refusal(500, value);
        yield value;
      }
    }
    throw brokenOff();
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(method: Method, path: string, json: JsonObject | undefined, signal: AbortSignal | undefined) {
    try {
      return await request(`${this.url}${path}`, {
        method,
        headers: json === undefined ? this.#headers : { ...this.#headers, 'content-type': 'application/json' },
        dispatcher: this.#agent,
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      throw new CliError(`No LFO answers at ${this.url}: start it with "npm start", or say where it is with --url.`);
    }
  }
}

type AnswerBody = Awaited<ReturnType<typeof request>>['body'];

async function textOf(body: AnswerBody, signal?: AbortSignal): Promise<string> {
  const chunks = await Array.fromAsync(whole(body, signal));
  return Buffer.concat(chunks).toString('utf8');
}

/** @throws CliError where the connection ends before the body does */
async function* whole(body: AnswerBody, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield Buffer.from(chunk);
  } catch (error) {
    throw signal?.aborted === true ? error : brokenOff();
  }
}

function brokenOff(): CliError {
  return new CliError('The answer broke off: LFO ended the connection. See its log.');
}

/** Address of the LFO that this configuration describes. */
export function addressOf({ server }: LfoConfig): string {
  const isHere = isLoopback(server.host) || ['0.0.0.0', '::', '[::]'].includes(server.host);
  const host = isHere ? 'localhost' : server.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${server.port}`;
}

function refusal(status: number, body: JsonValue | undefined): CliError {
  const error = isJsonObject(body) && isJsonObject(body['error']) ? body['error'] : {};
  const message = typeof error['message'] === 'string' ? error['message'] : `LFO answered with status ${status}.`;
  return new CliError(status === 401 ? `${message} Set LFO_AUTH_TOKEN to the key of that LFO.` : message);
}
