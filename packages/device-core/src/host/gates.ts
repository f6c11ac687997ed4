import type { Clock, MessageOf, PauseCode, RouterMessage } from '@lfo/protocol';
import type { HostState } from './session.ts';

/** What the machine says of itself. */
export interface MachineState extends Pick<HostState, 'battery' | 'thermal' | 'mem_free_mb' | 'net'> {
  /** Absent: only the least free memory in megabytes counts. */
  readonly memTotalMb?: number;
}

/** What the owner lets the device do. A router may ask for more care, never for less. */
export interface GateLimits {
  /** Percent of battery below which an unplugged device takes nothing; 0 never. */
  readonly minBattery: number;
  /** Android's thermal status from which on it takes nothing: 3 is severe. */
  readonly maxThermal: number;
  /** Whether it rests while the battery saver is on. */
  readonly restsInSaver: boolean;
  /** Networks it serves on, as `net` names them; absent: any but `none`. */
  readonly nets?: readonly string[];
}

export const defaultGateLimits: GateLimits = { minBattery: 20, maxThermal: 3, restsInSaver: true };

type Policy = NonNullable<MessageOf<RouterMessage, 'welcome'>['policy']>;

/** Why the device takes nothing, in a word of the protocol and in a sentence for its owner. */
export interface ClosedGate {
  readonly code: PauseCode;
  readonly why: string;
}

const batteryMarginPct = 5;
const coolStatus = 1;
/** From this status on what runs is ended too. */
const criticalStatus = 4;
const coolMs = 30_000;
const minFreeShare = 0.1;
const minFreeMb = 300;
const freeMargin = 1.5;

/**
 * Decides from battery, heat, memory and network whether the device takes requests (device protocol 1, section 11). Each
 * gate opens later than it closed, so that none flutters.
 */
export class Gates {
  readonly #clock: Clock;
  readonly #policies = new Map<object, Policy>();
  #limits: GateLimits;
  #machine: MachineState = {};
  #isPaused = false;
  #isLow = false;
  #isHot = false;
  #isTight = false;
  #cancelCooling: (() => void) | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(clock: Clock, limits: GateLimits = defaultGateLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Called with what is to run whenever the answer may have changed. */
  onChange(run: () => void): void {
    this.#listeners.push(run);
  }

  update(machine: MachineState): void {
    this.#machine = machine;
    this.#judge();
  }

  setLimits(limits: GateLimits): void {
    this.#limits = limits;
    this.#judge();
  }

  /** By the owner. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#judge();
  }

  /** What the router at the other end of a link asks for; undefined ends it. */
  setPolicy(link: object, policy: Policy | undefined): void {
    if (policy === undefined && !this.#policies.has(link)) return;
    if (policy === undefined) this.#policies.delete(link);
    else this.#policies.set(link, policy);
    this.#judge();
  }

  /** What runs must end too: the device is about to shut itself down. */
  get isCritical(): boolean {
    return (this.#machine.thermal?.status ?? 0) >= criticalStatus;
  }

  get closed(): ClosedGate | undefined {
    const { battery, net } = this.#machine;
    const { restsInSaver, nets } = this.#limits;
    if (this.#isPaused) return { code: 'paused', why: 'Its owner has paused it.' };
    if (this.#isHot) return { code: 'thermal', why: 'The device is hot and cools down first.' };
    if (this.#isLow) return { code: 'battery', why: `The battery is below ${this.#minBattery} %.` };
    if (battery?.saver === true && restsInSaver) return { code: 'saver', why: 'The battery saver is on.' };
    if (this.#isTight) return { code: 'memory', why: 'The device is short of memory.' };
    if (net === 'none') return { code: 'network', why: 'The device has no network.' };
    if (net !== undefined && nets?.includes(net) === false)
      return { code: 'network', why: `The device does not serve on ${net}.` };
    return undefined;
  }

  get #minBattery(): number {
    return Math.max(this.#limits.minBattery, ...this.#each((policy) => policy.min_battery));
  }

  get #maxThermal(): number {
    return Math.min(this.#limits.maxThermal, ...this.#each((policy) => policy.max_thermal));
  }

  #each(value: (policy: Policy) => number | undefined): number[] {
    return Array.from(this.#policies.values(), value).filter((found) => found !== undefined);
  }

  #judge(): void {
    this.#judgeBattery();
    this.#judgeHeat();
    this.#judgeMemory();
    for (const run of this.#listeners) run();
  }

  #judgeBattery(): void {
    const { battery } = this.#machine;
    const floor = this.#minBattery + (this.#isLow ? batteryMarginPct : 0);
    this.#isLow = battery !== undefined && !battery.charging && battery.pct < floor;
  }

  #judgeHeat(): void {
    const status = this.#machine.thermal?.status ?? 0;
    if (status >= this.#maxThermal) this.#isHot = true;
    if (!this.#isHot || status > coolStatus) {
      this.#cancelCooling?.();
      this.#cancelCooling = undefined;
      return;
    }
    this.#cancelCooling ??= this.#clock.schedule(coolMs, () => {
      this.#cancelCooling = undefined;
      this.#isHot = false;
      this.#judge();
    });
  }

  #judgeMemory(): void {
    const { mem_free_mb: freeMb, memTotalMb } = this.#machine;
    const floorMb = Math.max(minFreeMb, (memTotalMb ?? 0) * minFreeShare) * (this.#isTight ? freeMargin : 1);
    this.#isTight = freeMb !== undefined && freeMb < floorMb;
  }
}
