import {
  answerHandshake,
  dialHandshake,
  deviceLink,
  framedChannel,
  keyPair,
  maxFrameBytes,
  pairingKey,
  routerLink,
  runHandshake,
  type Carrier,
  type CarrierListener,
  type Channel,
  type DeviceMessage,
  type HandshakeSide,
  type HandshakeTarget,
  type MessageOf,
  type Primitives,
} from '@lfo/protocol';
import { noblePrimitives } from '@lfo/protocol/noble';

/** Messages each way after the handshake. */
const messages = 500;
const hello: MessageOf<DeviceMessage, 'hello'> = {
  t: 'hello',
  v: [1],
  models: [],
  queue_max: 0,
  max_frame: maxFrameBytes,
  features: [],
  boot: 'AAECAwQFBgcICQoLDA0ODw',
};
const stoppedClock = { nowMs: () => 0, schedule: () => () => {} };

/**
 * Pairs a device with a router, connects them again by their keys and sends 1,000 messages, with nothing but the
 * language itself. Resolves with the messages that arrived.
 */
export async function portableScenario(random: Primitives['random']): Promise<number> {
  const primitives = noblePrimitives(random);
  const [device, router] = [keyPair(primitives), keyPair(primitives)];
  const psk = pairingKey(primitives, random(16));
  const known = new Set<string>();
  const answer = (): HandshakeSide =>
    answerHandshake({
      primitives,
      role: 'router',
      keys: router,
      pairings: () => [{ id: 'open', psk }],
      isKnown: (key) => known.has(key.join()),
    });
  const dial = (target: HandshakeTarget): HandshakeSide =>
    dialHandshake({ primitives, role: 'device', keys: device, target });

  const paired = await connect(primitives, dial({ purpose: 'pair', psk, expectedKey: router.public }), answer());
  known.add(paired.deviceKey.join());
  const { pump, left, right } = await connect(primitives, dial({ purpose: 'known', peerKey: router.public }), answer());
  let arrived = 0;
  const deviceEnd = deviceLink(left, stoppedClock);
  const routerEnd = routerLink(right, stoppedClock);
  deviceEnd.listen({ onMessage: () => arrived++, onClose() {} });
  routerEnd.listen({ onMessage: () => arrived++, onClose() {} });
  deviceEnd.send(hello);
  for (let n = 0; n < messages; n++) {
    if (n > 0) deviceEnd.send({ t: 'delta', id: 1, n, parts: [{ k: 'text', text: `žluť 🦆 ${n}` }] });
    routerEnd.send({ t: 'ping', n });
  }
  await pump();
  return arrived;
}

async function connect(primitives: Primitives, dials: HandshakeSide, answers: HandshakeSide) {
  const queue: (() => void)[] = [];
  const pump = async (): Promise<void> => {
    for (let idle = 0; idle < 5; idle++) {
      await Promise.resolve();
      for (let run = queue.shift(); run !== undefined; run = queue.shift(), idle = 0) run();
    }
  };
  const [near, far] = memoryPair(queue);
  const opened: { left?: Channel; right?: Channel; deviceKey?: Uint8Array } = {};
  const fail = ({ code }: { readonly code: string }): never => {
    throw new Error(`The handshake failed: ${code}.`);
  };
  const shared = { primitives, clock: stoppedClock };
  runHandshake({
    ...shared,
    channel: framedChannel(far),
    side: answers,
    listener: {
      onSecured: (right, { peerKey }) => Object.assign(opened, { right, deviceKey: peerKey }),
      onFailed: fail,
    },
  });
  runHandshake({
    ...shared,
    channel: framedChannel(near),
    side: dials,
    listener: { onSecured: (left) => Object.assign(opened, { left }), onFailed: fail },
  });
  await pump();
  const { left, right, deviceKey } = opened;
  if (left === undefined || right === undefined || deviceKey === undefined) throw new Error('No handshake.');
  return { pump, left, right, deviceKey };
}

function memoryPair(queue: (() => void)[]): readonly [Carrier, Carrier] {
  const listeners: (CarrierListener | undefined)[] = [];
  const end = (ours: number, theirs: number): Carrier => ({
    write(bytes) {
      queue.push(() => listeners[theirs]?.onData(bytes));
      return true;
    },
    listen: (listener) => (listeners[ours] = listener),
    close: () => queue.push(() => listeners[ours]?.onClose()),
  });
  return [end(0, 1), end(1, 0)];
}
