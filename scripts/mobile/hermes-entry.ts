/** Runs inside Hermes: a device and a router in one program, from the handshake to a thousand frames. */
import {
  answerHandshake,
  deviceLink,
  dialHandshake,
  framedChannel,
  keyPair,
  routerLink,
  runHandshake,
  type Carrier,
  type CarrierListener,
  type Clock,
} from '../../packages/protocol/src/index.ts';
import { noblePrimitives } from '../../packages/protocol/src/noise/noble-primitives.ts';
import { gemmaPrompt } from '../../packages/device-core/src/prompt/gemma-prompt.ts';
import { ToolCallParser } from '../../packages/device-core/src/tool-calls/tool-call-parser.ts';

declare const print: (text: string) => void;
declare const HermesInternal: { getInstrumentedStats(): Readonly<Record<string, number>> };

const frames = 1000;
let seed = 1;
const random = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = (seed = (seed * 48_271) % 2_147_483_647) & 0xff;
  return bytes;
};
const primitives = noblePrimitives(random);
const clock: Clock = { nowMs: () => Date.now(), schedule: () => () => {} };

function pair(): [Carrier, Carrier] {
  const listeners: (CarrierListener | undefined)[] = [undefined, undefined];
  const end = (at: number): Carrier => ({
    write(bytes) {
      const copy = bytes.slice();
      void Promise.resolve().then(() => listeners[1 - at]?.onData(copy));
      return true;
    },
    listen: (listener) => void (listeners[at] = listener),
    close() {},
  });
  return [end(0), end(1)];
}

const [near, far] = pair();
const [device, router] = [keyPair(primitives), keyPair(primitives)];
let startedMs = 0;
let received = 0;
let heapAt100 = 0;
const handshakeStartedMs = Date.now();

runHandshake({
  channel: framedChannel(far),
  primitives,
  clock,
  side: answerHandshake({ primitives, role: 'router', keys: router, pairings: () => [], isKnown: () => true }),
  listener: {
    onSecured(channel) {
      const link = routerLink(channel, clock);
      link.listen({
        onMessage(message) {
          if (message.t !== 'delta') return;
          received += 1;
          if (received === 100) heapAt100 = HermesInternal.getInstrumentedStats()['js_allocatedBytes'] ?? 0;
          if (received < frames) return;
          const ms = (Date.now() - startedMs) / frames;
          const grown = (HermesInternal.getInstrumentedStats()['js_allocatedBytes'] ?? 0) - heapAt100;
          print(JSON.stringify({ frames: received, msPerFrame: ms, heapGrowthBytes: grown }));
        },
        onClose: (code) => print(`closed ${code}`),
      });
    },
    onFailed: ({ code }) => print(`failed ${code}`),
  },
});
runHandshake({
  channel: framedChannel(near),
  primitives,
  clock,
  side: dialHandshake({
    primitives,
    role: 'device',
    keys: device,
    target: { purpose: 'known', peerKey: router.public },
  }),
  listener: {
    onSecured(channel) {
      print(JSON.stringify({ handshakeMs: Date.now() - handshakeStartedMs }));
      const link = deviceLink(channel, clock);
      link.listen({ onMessage() {}, onClose() {} });
      link.send({
        t: 'hello',
        v: [1],
        models: [],
        queue_max: 4,
        max_frame: 1_048_576,
        features: [],
        boot: 'AAECAwQFBgcICQoLDA0ODw',
      });
      startedMs = Date.now();
      const sendFrom = (n: number): void => {
        link.send({ t: 'delta', id: 1, n, parts: [{ k: 'text', text: `word ${n} and some more of the answer` }] });
        if (n + 1 < frames) void Promise.resolve().then(() => sendFrom(n + 1));
      };
      sendFrom(0);
    },
    onFailed: ({ code }) => print(`failed ${code}`),
  },
});

const prompt = gemmaPrompt({ messages: [{ role: 'user', content: 'Oslo?' }], tools: [{ name: 'f' }] });
const [part] = new ToolCallParser(['f']).push('<start_function_call>call:f{a:<escape>b<escape>}<end_function_call>');
print(JSON.stringify({ prompt: prompt.length, call: part?.k }));
