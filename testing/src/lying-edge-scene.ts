/** Runs inside a network namespace: `lying-edge-scene.ts <address> <port>`. Plays a site that does not keep its promise. */
import { createServer } from 'node:http';
import { lyingEdge } from './lying-edge.ts';
import { Exchange } from './upstream/exchange.ts';

const [address = '', port = ''] = process.argv.slice(2);
createServer(async (incoming, response) => {
  const reads: Uint8Array[] = [];
  for await (const bytes of incoming) reads.push(bytes);
  const text = Buffer.concat(reads).toString();
  const { method = '', url: path = '', headers } = incoming;
  const json: unknown = text === '' ? undefined : JSON.parse(text);
  await lyingEdge(new Exchange({ method, path, headers, text, json, connection: 1 }, incoming, response));
}).listen(Number(port), address, () => process.stdout.write('ready\n'));
