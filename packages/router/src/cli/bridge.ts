import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { originalAnswer, readOriginal } from '../app/original-wire.ts';
import { isLoopback } from '../config/addresses.ts';
import type { Clock } from '../core/clock.ts';
import type { JsonObject } from '../core/json.ts';
import type { RouterClient } from './router-client.ts';
import { CliError, exitCodes, printLine, type Terminal } from './terminal.ts';

const maxBodyBytes = 2_000_000;

/** The original's `POST /completion` in front of a running LFO, until it is told to end. */
export async function bridge(
  terminal: Terminal,
  client: RouterClient,
  clock: Clock,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<number> {
  // It answers without a key, with the key of its own.
  if (!isLoopback(host)) {
    throw new CliError(
      `--host ${host}: the bridge asks nobody for a key, so it listens on this machine alone. Give others LFO itself.`,
      exitCodes.usage,
    );
  }
  const server = createServer((request, response) => void serve(request, response, client, clock));
  const taken = await listen(server, host, port);
  printLine(
    terminal,
    `http://${host.includes(':') ? `[${host}]` : host}:${taken}/completion is answered by ${client.url}`,
  );
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) terminal.onSignal(signal, resolve);
  });
  server.closeAllConnections();
  server.close();
  return exitCodes.done;
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const code = 'code' in error ? ` (${String(error.code)})` : '';
      reject(new CliError(`${host}:${port} cannot be listened on${code}: choose another --port.`));
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  client: RouterClient,
  clock: Clock,
): Promise<void> {
  const send = (status: number, body: JsonObject): void => {
    if (response.destroyed) return;
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify(body));
  };
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (origin !== undefined || site === 'cross-site') return send(403, { error: 'Web pages are not served.' });
  if (request.url !== '/completion') return send(404, { error: 'There is POST /completion alone.' });
  if (request.method !== 'POST') return send(405, { error: 'Use POST.' });
  const text = await bodyOf(request);
  if (text === undefined) return send(413, { error: 'The body is too large.' });
  const read = readOriginal(text);
  if ('error' in read) return send(400, read);
  const startedMs = clock.nowMs();
  try {
    const { status, body } = await client.ask('/v1/chat/completions', read.body);
    send(status === 200 ? 200 : 502, originalAnswer(body, clock.nowMs() - startedMs));
  } catch {
    send(502, { error: 'LFO does not answer.' });
  }
}

/** `undefined` where it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of request) {
      const bytes = Buffer.from(part);
      size += bytes.length;
      if (size > maxBodyBytes) return undefined;
      parts.push(bytes);
    }
  } catch {
    // Gone in the middle: nobody reads what is said of it.
    return '';
  }
  return Buffer.concat(parts).toString('utf8');
}
