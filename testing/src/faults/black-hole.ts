import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

/**
 * An origin on loopback that lets connection attempts vanish: its queue is full and nobody accepts. What follows is
 * dropped by the kernel as a firewall would (listen(2), the backlog).
 */
export async function blackHole(t: TestContext): Promise<string> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000), 20);
     });`,
    { eval: true },
  );
  const fillers: Socket[] = [];
  t.after(async () => {
    for (const filler of fillers) filler.destroy();
    await worker.terminate();
  });
  const [port] = await once(worker, 'message');
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (let i = 0; i < 4; i++) fillers.push(connect(Number(port), '127.0.0.1').on('error', () => undefined));
  await new Promise((resolve) => setTimeout(resolve, 100));
  return `http://127.0.0.1:${port}`;
}
