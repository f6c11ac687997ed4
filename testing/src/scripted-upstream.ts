import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Exchange, type ReceivedRequest, type Script } from './upstream/exchange.ts';
import { openaiScript } from './upstream/openai-script.ts';

/**
 * A real HTTP server on loopback that plays a provider. Without a script it speaks OpenAI's wire, and the model name
 * chooses what goes wrong (`fault-…`, see `upstream/faults.ts`). Everything received is recorded.
 */
export class ScriptedUpstream {
  /** `http://127.0.0.1:port`, where no other address was named. */
  readonly origin: string;
  /** Answers `GET /api/tags`, by which Ollama is told from others; absent: it is another. Not among the exchanges. */
  tags: Script | undefined;
  /** In order of arrival, model lists included. */
  readonly exchanges: Exchange[] = [];
  readonly #server: Server;
  readonly #sockets: Map<Socket, number>;
  #script: Script = openaiScript;
  readonly #queued: Script[] = [];
  #waiting: (() => void)[] = [];

  /** Listens on loopback, on a free port, unless others are named; close it after use. */
  static async start(script?: Script, port = 0, host = '127.0.0.1'): Promise<ScriptedUpstream> {
    const sockets = new Map<Socket, number>();
    let connections = 0;
    const server = createServer({ keepAliveTimeout: 60_000 });
    server.on('connection', (socket) => {
      sockets.set(socket, ++connections);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    const upstream = new ScriptedUpstream(server, sockets);
    if (script !== undefined) upstream.always(script);
    return upstream;
  }

  private constructor(server: Server, sockets: Map<Socket, number>) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The server is not listening.');
    this.origin = `http://${address.address}:${address.port}`;
    this.#server = server;
    this.#sockets = sockets;
    server.on('request', (incoming, response) => void this.#serve(incoming, response));
  }

  /** Requests received so far. */
  get requests(): ReceivedRequest[] {
    return this.exchanges.map(({ request }) => request);
  }

  /** Chats among the exchanges. */
  get chats(): Exchange[] {
    return this.exchanges.filter(({ request }) => request.path.endsWith('/chat/completions'));
  }

  /** Connections open now. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Answers every request from now on by this script. */
  always(script: Script): void {
    this.#script = script;
  }

  /** Answers the next requests by these scripts, one each, before the standing one applies again. */
  next(...scripts: Script[]): void {
    this.#queued.push(...scripts);
  }

  /** Resolves when the given number of requests has been received in all. */
  async received(count: number): Promise<void> {
    while (this.exchanges.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Closes every connection that no request is using, as a server does with idle ones. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const reads: Uint8Array[] = [];
    try {
      for await (const bytes of incoming) reads.push(bytes);
    } catch {
      return;
    }
    const text = Buffer.concat(reads).toString();
    const exchange = new Exchange(
      {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: incoming.headers,
        text,
        json: jsonOf(text),
        connection: this.#sockets.get(incoming.socket) ?? 0,
      },
      incoming,
      response,
    );
    if (exchange.request.path === '/api/tags') {
      return await (this.tags ?? isNoOllama)(exchange);
    }
    this.exchanges.push(exchange);
    for (const wake of this.#waiting.splice(0)) wake();
    await (this.#queued.shift() ?? this.#script)(exchange);
  }
}

/** Without a connection that the next request would find. */
const isNoOllama: Script = (exchange) => exchange.json(404, { error: 'not found' }, { connection: 'close' });

/** An origin on loopback where nothing listens: connections are refused. */
export async function refusingOrigin(): Promise<string> {
  const upstream = await ScriptedUpstream.start();
  await upstream.close();
  return upstream.origin;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
