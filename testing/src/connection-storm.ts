import { connect } from 'node:net';
import { parentPort, Worker } from 'node:worker_threads';
import * as z from 'zod';

/** What came of requests, each on a connection of its own, until one was refused. */
const outcome = z.object({ answered: z.number(), lost: z.number() });
export type StormOutcome = z.infer<typeof outcome>;

/** Clients on a thread of their own ask without a pause until the listener is gone; one request is one connection. */
export async function storm(port: number, clients: number): Promise<StormOutcome> {
  const worker = new Worker(new URL(import.meta.url));
  try {
    const answer = Promise.withResolvers<StormOutcome>();
    worker.on('message', (message: unknown) => answer.resolve(outcome.parse(message)));
    worker.on('error', answer.reject);
    worker.postMessage({ port, clients });
    return await answer.promise;
  } finally {
    await worker.terminate();
  }
}

const order = z.object({ port: z.number(), clients: z.number() });

parentPort?.on('message', (message: unknown) => {
  const { port, clients } = order.safeParse(message).data ?? {};
  if (port === undefined || clients === undefined) return;
  void report(port, clients);
});

async function report(port: number, clients: number): Promise<void> {
  parentPort?.postMessage(await ask(port, clients));
}

async function ask(port: number, clients: number): Promise<StormOutcome> {
  const done = { answered: 0, lost: 0 };
  const end = { isHere: false };
  const once = (): Promise<void> =>
    new Promise((resolve) => {
      let isConnected = false;
      let isAnswered = false;
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('connect', () => {
        isConnected = true;
        socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n');
      });
      socket.on('data', () => (isAnswered = true));
      socket.on('error', () => (end.isHere ||= !isConnected));
      socket.on('close', () => {
        if (isAnswered) done.answered++;
        else if (isConnected) done.lost++;
        resolve();
      });
    });
  const client = async (): Promise<void> => {
    while (!end.isHere) await once();
  };
  await Promise.all(Array.from({ length: clients }, client));
  return done;
}
