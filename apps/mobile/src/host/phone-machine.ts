import * as Battery from 'expo-battery';
import * as Network from 'expo-network';
import type { MachineState } from '@lfo/device-core';
import { lfoHost } from '../../modules/lfo-host';
import type { Machine } from './phone-host';

/** Memory is asked for; everything else tells of its changes. */
const memoryMs = 10_000;

/** The phone's battery, heat, memory and network. */
export class PhoneMachine implements Machine {
  #battery: MachineState['battery'];
  #net = 'none';
  #address: string | undefined;
  readonly #listeners = new Set<(what: 'machine' | 'network') => void>();

  static async open(): Promise<PhoneMachine> {
    const machine = new PhoneMachine();
    await Promise.all([machine.#readPower(), machine.#readNetwork()]);
    machine.#watch();
    return machine;
  }

  /** Where a router on the same network finds this phone. */
  get address(): string | undefined {
    return this.#address;
  }

  get isMetered(): boolean {
    return this.#net !== 'wifi' && this.#net !== 'ethernet';
  }

  read(): MachineState {
    const status = lfoHost?.thermalStatus() ?? -1;
    const headroom = lfoHost?.thermalHeadroom() ?? Number.NaN;
    const memory = lfoHost?.memory();
    return {
      net: this.#net,
      ...(this.#battery === undefined ? {} : { battery: this.#battery }),
      ...(status < 0 ? {} : { thermal: { status, ...(Number.isFinite(headroom) ? { headroom } : {}) } }),
      ...(memory === undefined
        ? {}
        : { mem_free_mb: Math.round(memory.freeMb), memTotalMb: Math.round(memory.totalMb) }),
    };
  }

  subscribe(onChange: (what: 'machine' | 'network') => void): () => void {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  }

  #watch(): void {
    const power = (): void => void this.#readPower();
    Battery.addBatteryLevelListener(power);
    Battery.addBatteryStateListener(power);
    Battery.addLowPowerModeListener(power);
    Network.addNetworkStateListener(() => void this.#readNetwork());
    const machine = (): void => this.#tell('machine');
    lfoHost?.addListener('onThermal', machine);
    lfoHost?.addListener('onMemory', machine);
    setInterval(machine, memoryMs);
  }

  async #readPower(): Promise<void> {
    const { batteryLevel, batteryState, lowPowerMode } = await Battery.getPowerStateAsync();
    const { CHARGING, FULL } = Battery.BatteryState;
    this.#battery =
      batteryLevel < 0
        ? undefined
        : {
            pct: Math.round(batteryLevel * 100),
            charging: batteryState === CHARGING || batteryState === FULL,
            saver: lowPowerMode,
          };
    this.#tell('machine');
  }

  async #readNetwork(): Promise<void> {
    const { type, isConnected } = await Network.getNetworkStateAsync();
    const address = isConnected === true ? await Network.getIpAddressAsync() : undefined;
    const net = isConnected === true ? netOf(type) : 'none';
    const isNew = net !== this.#net || address !== this.#address;
    this.#net = net;
    this.#address = address;
    if (isNew) this.#tell('network');
  }

  #tell(what: 'machine' | 'network'): void {
    for (const run of this.#listeners) run(what);
  }
}

function netOf(type: Network.NetworkStateType | undefined): string {
  const { WIFI, ETHERNET, CELLULAR, VPN, NONE } = Network.NetworkStateType;
  if (type === WIFI) return 'wifi';
  if (type === ETHERNET) return 'ethernet';
  if (type === CELLULAR) return 'cellular';
  if (type === VPN) return 'vpn';
  return type === NONE ? 'none' : 'other';
}
