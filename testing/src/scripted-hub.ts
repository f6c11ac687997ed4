import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the hub answers one request, in order; the last one goes on for ever. */
export type HubStep =
  /** The file, or the range asked for. */
  | { readonly type: 'give' }
  /** As `give`, but the connection breaks after that many bytes. */
  | { readonly type: 'cut'; readonly after: number }
  /** The whole file, whatever range was asked for. */
  | { readonly type: 'ignore-range' }
  | { readonly type: 'redirect'; readonly to: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly type: 'status'; readonly status: number; readonly body?: string }
  /** Never a byte. */
  | { readonly type: 'silence' };

/** A model hub on loopback. */
export interface ScriptedHub extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Paths asked for with their Range header, in order. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[];
}

/** Starts one that serves `content` under every path. */
export async function scriptedHub(
  content: Buffer,
  steps: readonly HubStep[] = [{ type: 'give' }],
): Promise<ScriptedHub> {
  const requests: { path: string; range: string | undefined }[] = [];
  const server = createServer((request, response) => {
    const step = steps[Math.min(requests.length, steps.length - 1)] ?? { type: 'give' };
    requests.push({ path: request.url ?? '', range: request.headers.range });
    play(step, content, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${portOf(server.address())}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function play(step: HubStep, content: Buffer, request: IncomingMessage, response: ServerResponse): void {
  switch (step.type) {
    case 'give':
      return give(content, request, response);
    case 'cut':
      return give(content, request, response, step.after);
    case 'ignore-range':
      response.writeHead(200, { 'content-length': content.length }).end(content);
      return;
    case 'redirect':
      response.writeHead(302, { location: step.to, ...step.headers }).end();
      return;
    case 'status':
      response.writeHead(step.status, { 'content-type': 'text/html' }).end(step.body);
      return;
    case 'silence':
      return;
  }
}

function give(content: Buffer, request: IncomingMessage, response: ServerResponse, cutAfter?: number): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const rest = content.subarray(from);
  const range = `bytes ${from}-${content.length - 1}/${content.length}`;
  const isPart = request.headers.range !== undefined;
  response.writeHead(isPart ? 206 : 200, {
    'content-length': rest.length,
    ...(isPart ? { 'content-range': range } : {}),
  });
  if (cutAfter === undefined) response.end(rest);
  else response.write(rest.subarray(0, cutAfter), () => response.socket?.destroy());
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  return address.port;
}
