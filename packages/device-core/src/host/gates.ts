import type { Clock, DeviceMessage, MessageOf, PauseCode } from '@lfo/protocol';
import { EngineError } from '../engine/engine.ts';

/** What a machine says of itself. */
export interface Readings extends Pick<
  MessageOf<DeviceMessage, 'state'>,
  'battery' | 'thermal' | 'mem_free_mb' | 'load' | 'net'
> {
  /** Not sent: a tenth of it is kept free. */
  readonly memTotalMb?: number;
  /** Its owner wants it left alone. */
  readonly paused?: boolean;
}

/** What a router asks of the gates; it may tighten them, never loosen. */
export interface GatePolicy {
  readonly min_battery?: number | undefined;
  readonly max_thermal?: number | undefined;
}

/** Android's scale of heat, 0 to 6, which every machine's is put on. */
const severe = 3;
const critical = 4;
const light = 1;
const coolMs = 30_000;
const leastBatteryPct = 20;
/** Above the limit, before a battery serves again: near it the gate would open and close with each request. */
const batteryMarginPct = 5;
const leastFreeMb = 300;
const leastFreeShare = 0.1;
const freeAgain = 1.5;

/**
 * Decides from what the machine says whether it takes requests (device protocol 1, section 11). A gate that has closed
 * opens later than it closed, so that it does not flap.
 */
export class Gates {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #readings: Readings = {};
  #policy: GatePolicy = {};
  readonly #closed = new Set<PauseCode>();
  /** It has been cool since it was set. */
  #cancelCooling: (() => void) | undefined;

  /** `onChange` runs when a gate opens by time alone. */
  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  read(readings: Readings): void {
    this.#readings = readings;
    this.#judge();
  }

  tighten(policy: GatePolicy): void {
    this.#policy = policy;
    this.#judge();
  }

  /** Why nothing is taken now, in words for the owner of the router; the first of several. */
  get refusal(): EngineError | undefined {
    const { battery, thermal, mem_free_mb } = this.#readings;
    const say = (code: PauseCode & EngineError['code'], why: string): EngineError => new EngineError(code, why, true);
    if (this.#closed.has('paused')) return say('paused', 'The owner has paused this device.');
    if (this.#closed.has('thermal')) return say('thermal', `The device is hot (status ${thermal?.status ?? severe}).`);
    if (this.#closed.has('battery')) return say('battery', `The battery is at ${battery?.pct ?? 0} %.`);
    if (this.#closed.has('saver')) return say('battery', 'The device saves power.');
    if (this.#closed.has('memory')) return say('memory', `Only ${Math.round(mem_free_mb ?? 0)} MB are free.`);
    return undefined;
  }

  /** As the state message names it. */
  get code(): PauseCode | undefined {
    for (const code of ['paused', 'thermal', 'battery', 'saver', 'memory'] as const) {
      if (this.#closed.has(code)) return code;
    }
    return undefined;
  }

  /** So hot that what runs has to end too. */
  get endsWhatRuns(): boolean {
    return (this.#readings.thermal?.status ?? 0) >= critical;
  }

  close(): void {
    this.#cancelCooling?.();
  }

  #judge(): void {
    const { battery, mem_free_mb: free, memTotalMb: total, paused } = this.#readings;
    this.#set('paused', paused === true);
    const least = Math.max(leastBatteryPct, this.#policy.min_battery ?? 0);
    const isOnBattery = battery !== undefined && !battery.charging;
    this.#set('battery', isOnBattery && battery.pct < least + (this.#closed.has('battery') ? batteryMarginPct : 0));
    this.#set('saver', isOnBattery && battery.saver === true);
    const wanted = Math.max(leastFreeMb, (total ?? 0) * leastFreeShare);
    this.#set('memory', free !== undefined && free < wanted * (this.#closed.has('memory') ? freeAgain : 1));
    this.#judgeHeat(this.#readings.thermal?.status ?? 0);
  }

  #judgeHeat(status: number): void {
    const most = Math.min(severe, (this.#policy.max_thermal ?? critical) + 1);
    if (status >= most) this.#closed.add('thermal');
    if (!this.#closed.has('thermal')) return;
    if (status > Math.min(light, most - 1)) {
      this.#cancelCooling?.();
      this.#cancelCooling = undefined;
      return;
    }
    this.#cancelCooling ??= this.#clock.schedule(coolMs, () => {
      this.#cancelCooling = undefined;
      this.#closed.delete('thermal');
      this.#onChange();
    });
  }

  #set(code: PauseCode, isClosed: boolean): void {
    if (isClosed) this.#closed.add(code);
    else this.#closed.delete(code);
  }
}
