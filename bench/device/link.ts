/**
 * What encryption adds to a token, and what idle devices cost: `node bench/device/link.ts`. Deltas of one token cross a pair
 * of channels in memory, framed as on the pipe and inside Noise records; times are of the processor, medians of paired rounds.
 */
import * as crypto from 'node:crypto';
import {
  deviceLink,
  framedChannel,
  maxFrameBytes,
  noiseChannel,
  nodePrimitives,
  routerLink,
  type Channel,
  type DeviceMessage,
  type Link,
  type RouterMessage,
} from '@lfo/protocol';
import { systemClock } from '@lfo/router/src/core/clock.ts';
import { carrierPair } from '@lfo/testing/carrier-pair.ts';
import { scriptedHello } from '@lfo/testing/scripted-device.ts';
import { median } from '../figures.ts';

const primitives = nodePrimitives(crypto);
const tokens = 1_000;
const rounds = 7;

function pair(isEncrypted: boolean): { readonly device: Channel; readonly router: Channel } {
  const [near, far] = carrierPair();
  const device = framedChannel(near, maxFrameBytes);
  const router = framedChannel(far, maxFrameBytes);
  if (!isEncrypted) return { device, router };
  const [up, down] = [crypto.randomBytes(32), crypto.randomBytes(32)];
  return {
    device: noiseChannel(device, primitives, { send: up, receive: down }),
    router: noiseChannel(router, primitives, { send: down, receive: up }),
  };
}

/** Microseconds a token takes from the device's `send` to the router's listener. */
async function cost(isEncrypted: boolean): Promise<number> {
  const { device, router } = pair(isEncrypted);
  const link: Link<RouterMessage, DeviceMessage> = deviceLink(device, systemClock);
  let got = 0;
  let done: () => void = () => {};
  const over = new Promise<void>((resolve) => (done = resolve));
  routerLink(router, systemClock).listen({
    onMessage: (message) => {
      if (message.t === 'delta' && ++got === tokens) done();
    },
    onClose: () => {},
  });
  link.listen({ onMessage: () => {}, onClose: () => {} });
  link.send(scriptedHello);
  await new Promise((resolve) => setImmediate(resolve));
  const began = process.cpuUsage();
  for (let n = 0; n < tokens; n++) {
    link.send({ t: 'delta', id: 1, n, parts: [{ k: 'text', text: ' token' }] });
    if (n % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
  }
  await over;
  const { user, system } = process.cpuUsage(began);
  link.close('closing');
  return (user + system) / tokens;
}

const added: number[] = [];
const pipe: number[] = [];
await cost(false);
await cost(true);
for (let round = 0; round < rounds; round++) {
  const plain = await cost(false);
  pipe.push(plain);
  added.push((await cost(true)) - plain);
}
process.stdout.write(
  `${JSON.stringify({ pipe_us: Number(median(pipe).toFixed(1)), added_by_encryption_us: Number(median(added).toFixed(1)) })}\n`,
);
process.exit(0);
