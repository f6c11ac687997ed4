/**
 * Runs inside a network namespace, where the test itself is not: `privacy-scene.ts <socket> <port>`. Plays the local
 * model server on loopback, and lets the test in through a Unix socket that leads to the router's port. Prints the
 * server's origin when both are there.
 */
import { connect, createServer } from 'node:net';
import { ScriptedUpstream } from './scripted-upstream.ts';
import type { Script } from './upstream/exchange.ts';
import { faults } from './upstream/faults.ts';
import { answerWith } from './upstream/openai-answer.ts';
import { openaiScript } from './upstream/openai-script.ts';

const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });
const callsTool = answerWith({
  deltas: [],
  toolCalls: [{ id: 'call1', name: 'look_up', argumentDeltas: ['{"what"', ': 1'] }],
});

/** The prompt says what goes wrong. */
const asPrompted: Script = (exchange) => {
  const { text } = exchange.request;
  const fault = faults[/fault-[a-z0-9-]+/.exec(text)?.[0] ?? ''];
  if (fault !== undefined) return fault(exchange);
  if (text.includes('be unsure')) return unsure(exchange);
  return text.includes('call a tool') ? callsTool(exchange) : openaiScript(exchange);
};

const [socketPath = '', port = ''] = process.argv.slice(2);
const upstream = await ScriptedUpstream.start(asPrompted);
createServer((client) => {
  const router = connect(Number(port), '127.0.0.1');
  client.pipe(router).pipe(client);
  client.on('close', () => router.destroy());
  router.on('close', () => client.destroy());
  for (const socket of [client, router]) socket.on('error', () => undefined);
}).listen(socketPath, () => process.stdout.write(`${upstream.origin}\n`));
