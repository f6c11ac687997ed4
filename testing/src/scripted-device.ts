import { deviceLink, framedChannel, maxFrameBytes } from '@lfo/protocol';
import type { AnswerPart, Channel, DeviceMessage, Link, MessageOf, ModelOffer, RouterMessage } from '@lfo/protocol';
import type { Clock } from '@lfo/router/src/core/clock.ts';
import { carrierPair, type TestCarrier } from './carrier-pair.ts';
import { settle } from './fake-clock.ts';

/** Introduces the device; override what the test is about. */
export const scriptedHello: MessageOf<DeviceMessage, 'hello'> = {
  t: 'hello',
  v: [1],
  name: 'scripted',
  app: 'test',
  os: 'none',
  engine: { name: 'scripted', version: '1' },
  models: [],
  boot: 'AAECAwQFBgcICQoLDA0ODw',
  queue_max: 4,
  max_frame: maxFrameBytes,
  features: [],
};

/** The model the scripted device claims to serve. */
export const scriptedModel: ModelOffer = {
  id: 'tiny',
  ctx: 2048,
  caps: ['tools', 'json_schema', 'scores'],
  resident: true,
  slots: 2,
};

/** What the scripted device says of its model; override what the test is about. */
export function scriptedState(changes: Partial<ModelState> = {}): ModelState {
  return { id: scriptedModel.id, resident: true, slots: 2, active: 0, queued: 0, ...changes };
}

type ModelState = MessageOf<DeviceMessage, 'state'>['models'][number];

/** A device played by the test, message by message, over a pair of carriers in memory. */
export class ScriptedDevice {
  /** The router's end. */
  readonly channel: Channel;
  /** The device's end of the carrier, for faults: cut, inject, stop flowing. */
  readonly carrier: TestCarrier;
  readonly link: Link<RouterMessage, DeviceMessage>;
  /** All messages of the router so far. */
  readonly received: RouterMessage[] = [];
  closed: string | undefined;
  /** Whether it leaves pings unanswered. */
  isMute = false;
  /** Called for every message of the router; set it to play a part. */
  onMessage: (message: RouterMessage) => void = () => {};
  #seq = 0;
  readonly #nextDelta = new Map<number, number>();

  constructor(clock: Clock) {
    const [near, far] = carrierPair();
    this.carrier = near;
    this.channel = framedChannel(far, maxFrameBytes);
    this.link = deviceLink(framedChannel(near, maxFrameBytes), clock);
    this.link.listen({
      onMessage: (message) => {
        this.received.push(message);
        if (message.t === 'ping' && !this.isMute) this.send({ t: 'pong', n: message.n });
        this.onMessage(message);
      },
      onClose: (code) => (this.closed = code),
    });
  }

  send(message: DeviceMessage): void {
    this.link.send(message);
  }

  /** Introduces itself with a loaded model and waits until the router has heard. */
  async start(): Promise<void> {
    this.send({ ...scriptedHello, models: [scriptedModel] });
    await settle();
    this.state({});
    await settle();
  }

  state(changes: Partial<MessageOf<DeviceMessage, 'state'>>): void {
    this.send({ t: 'state', accepting: true, models: [scriptedState()], ...changes, seq: this.#seq++ });
  }

  /** The next parts of an answer, numbered by themselves. */
  delta(id: number, ...parts: AnswerPart[]): void {
    this.send({ t: 'delta', id, n: this.takeNumber(id), parts });
  }

  done(id: number, more: Partial<MessageOf<DeviceMessage, 'done'>> = {}): void {
    const usage = { prompt_tokens: 3, completion_tokens: 2 };
    this.send({ t: 'done', finish_reason: 'stop', usage, n: this.takeNumber(id), ...more, id });
  }

  /** The next number of a request. */
  takeNumber(id: number): number {
    const n = this.#nextDelta.get(id) ?? 0;
    this.#nextDelta.set(id, n + 1);
    return n;
  }

  /** Messages of one type, in order. */
  of<T extends RouterMessage['t']>(type: T): MessageOf<RouterMessage, T>[] {
    const isOfType = (message: RouterMessage): message is MessageOf<RouterMessage, T> => message.t === type;
    return this.received.filter(isOfType);
  }
}
