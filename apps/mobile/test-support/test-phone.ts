import { webcrypto } from 'node:crypto';
import { noblePrimitives } from '@lfo/protocol/noble';
import type { MachineState } from '@lfo/device-core';
import type { Carrier } from '@lfo/protocol';
import { systemClock } from '../src/host/clock';
import type { SecretStore } from '../src/host/device-store';
import { PhoneHost, type ForegroundService, type Machine, type ReadyModel } from '../src/host/phone-host';
import { connectTcp, listenTcp } from '../src/host/tcp-carrier';
import { freePort } from './router-process';

const primitives = noblePrimitives((length) => webcrypto.getRandomValues(new Uint8Array(length)));

/** Secrets that outlive the phone's process, as in the keystore. */
export function memorySecrets(): SecretStore & { readonly values: Map<string, string> } {
  const values = new Map<string, string>();
  return {
    values,
    get: async (name) => values.get(name) ?? null,
    set: async (name, value) => void values.set(name, value),
    remove: async (name) => void values.delete(name),
  };
}

/** A phone whose battery, heat, memory and network the test decides. */
export class FakeMachine implements Machine {
  #state: MachineState = { net: 'wifi', battery: { pct: 80, charging: false, saver: false }, thermal: { status: 0 } };
  readonly #listeners = new Set<(what: 'machine' | 'network') => void>();

  read(): MachineState {
    return this.#state;
  }

  subscribe(onChange: (what: 'machine' | 'network') => void): () => void {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  }

  become(changes: MachineState): void {
    this.#state = { ...this.#state, ...changes };
    for (const run of this.#listeners) run(changes.net === undefined ? 'machine' : 'network');
  }
}

export class FakeService implements ForegroundService {
  notice: string | undefined;
  startsOnBoot = false;
  #stop = (): void => {};

  show(text: string): void {
    this.notice = text;
  }

  hide(): void {
    this.notice = undefined;
  }

  onStop(run: () => void): void {
    this.#stop = run;
  }

  setStartsOnBoot(isOn: boolean): void {
    this.startsOnBoot = isOn;
  }

  pressStop(): void {
    this.#stop();
  }
}

export interface TestPhone {
  readonly host: PhoneHost;
  readonly machine: FakeMachine;
  readonly service: FakeService;
  /** Whether connections come about. */
  readonly network: { isUp: boolean; readonly carriers: Carrier[] };
  /** Where it is dialled in place of Android's own port. */
  readonly port: number;
}

/** A phone with the real host, over react-native-tcp-socket's own JavaScript. */
export async function startPhone(
  model: ReadyModel | undefined,
  secrets: SecretStore = memorySecrets(),
  listensAt?: number,
): Promise<TestPhone> {
  const machine = new FakeMachine();
  const service = new FakeService();
  const network: TestPhone['network'] = { isUp: true, carriers: [] };
  const port = listensAt ?? (await freePort());
  const host = await PhoneHost.open({
    clock: systemClock,
    now: Date.now,
    random: Math.random,
    primitives,
    secrets,
    machine,
    service,
    connect: async (address, port) => {
      const carrier = network.isUp ? await connectTcp(address, port) : undefined;
      if (carrier !== undefined) network.carriers.push(carrier);
      return carrier;
    },
    listen: (_port, onCarrier) => listenTcp(port, onCarrier),
    modelOf: (id) => (model?.file.id === id ? model : undefined),
    about: { name: 'Test phone', app: 'lfo-mobile/0.1.0', os: 'Android 16' },
  });
  return { host, machine, service, network, port };
}
