/** Runs inside a network namespace: `lying-edge-scene.ts <address> <port>`. Plays a site that does not keep its promise. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { lyingEdge } from './lying-edge.ts';
import { Exchange } from './upstream/exchange.ts';

const [address = '', port = ''] = process.argv.slice(2);
async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const reads: Uint8Array[] = [];
  for await (const bytes of incoming) reads.push(bytes);
  const text = Buffer.concat(reads).toString();
  const { method = '', url: path = '', headers } = incoming;
  const json: unknown = text === '' ? undefined : JSON.parse(text);
  await lyingEdge(new Exchange({ method, path, headers, text, json, connection: 1 }, incoming, response));
}

createServer((incoming, response) => void serve(incoming, response)).listen(Number(port), address, () =>
  process.stdout.write('ready\n'),
);
