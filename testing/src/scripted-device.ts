import { deviceLink, framedChannel, maxFrameBytes } from '@lfo/protocol';
import type { AnswerPart, Channel, DeviceMessage, Link, MessageOf, ModelInfo, RouterMessage } from '@lfo/protocol';
import type { Clock } from '@lfo/router/src/core/clock.ts';
import { carrierPair, type TestCarrier } from './carrier-pair.ts';
import { settle } from './fake-clock.ts';

/** Introduces the device; override what the test is about. */
export const scriptedHello: MessageOf<DeviceMessage, 'hello'> = {
  t: 'hello',
  v: [1],
  role: 'device',
  device: 'd1',
  name: 'scripted',
  app: 'test',
  os: 'none',
  engine: { name: 'scripted', version: '1' },
  models: [],
  slots: 2,
  queue_max: 4,
  max_frame: maxFrameBytes,
  features: [],
};

/** The model the scripted device claims to serve. */
export const scriptedModel: ModelInfo = { id: 'tiny', ctx: 2048, caps: ['tools', 'json_schema', 'scores'] };

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
    this.send(scriptedHello);
    await settle();
    this.state({});
    await settle();
  }

  state(changes: Partial<MessageOf<DeviceMessage, 'state'>>): void {
    const model = { loaded: true, accepting: true, model: scriptedModel.id, models: [scriptedModel] };
    this.send({ t: 'state', ...model, active: 0, queued: 0, ...changes, seq: this.#seq++ });
  }

  /** The next parts of an answer, numbered by themselves. */
  delta(id: number, ...parts: AnswerPart[]): void {
    const n = this.#nextDelta.get(id) ?? 0;
    this.#nextDelta.set(id, n + 1);
    this.send({ t: 'delta', id, n, parts });
  }

  done(id: number, more: Partial<MessageOf<DeviceMessage, 'done'>> = {}): void {
    this.send({ t: 'done', finish_reason: 'stop', usage: { prompt_tokens: 3, completion_tokens: 2 }, ...more, id });
  }

  /** Messages of one type, in order. */
  of<T extends RouterMessage['t']>(type: T): MessageOf<RouterMessage, T>[] {
    const isOfType = (message: RouterMessage): message is MessageOf<RouterMessage, T> => message.t === type;
    return this.received.filter(isOfType);
  }
}
