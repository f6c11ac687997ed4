import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const chunkBytes = 16_384;

/** The model hub on this machine: files by path, with ranges, at a pace. */
export class LocalHub {
  readonly files = new Map<string, Buffer>();
  readonly trees = new Map<string, readonly object[]>();
  readonly requests: { readonly path: string; readonly range: string | undefined }[] = [];
  /** Bytes a second. */
  pace = Infinity;
  refuses: number | undefined;
  ignoresRange = false;
  readonly #open = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  /** Its address, once it listens. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async stop(): Promise<void> {
    this.breakOff();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Every connection is lost. */
  breakOff(): void {
    for (const response of this.#open) response.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://hub').pathname;
    const tree = this.trees.get(path);
    if (tree !== undefined) return void response.end(JSON.stringify(tree));
    const { range } = request.headers;
    const file = this.files.get(path);
    if (file === undefined) return void response.writeHead(404).end('not here');
    this.requests.push({ path, range });
    if (this.refuses !== undefined) return void response.writeHead(this.refuses).end('an error, not a file');
    const from = this.ignoresRange ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    if (range !== undefined && from >= file.length) return void response.writeHead(416).end('past the end');
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': file.length - from });
    this.#open.add(response);
    for (let at = from; at < file.length && !response.destroyed; at += chunkBytes) {
      response.write(file.subarray(at, at + chunkBytes));
      if (this.pace !== Infinity) await delay((chunkBytes * 1000) / this.pace);
    }
    response.end();
    this.#open.delete(response);
  }
}
