import type { LfoConfig } from './config.ts';
import type { ConfigHandle } from './handle.ts';

/** What may be changed while LFO runs, without its file. */
export const thresholdPath = 'routing.confidence_threshold';

/** Where the threshold comes from, and what was chosen in the place of the file's. */
export interface ThresholdState {
  readonly value: number;
  /** `default`, `lfo.yaml:3`, `override` or the name of a variable. */
  readonly origin: string;
  /** What it is without an override. */
  readonly configured: number;
  /** The environment fixes it: no override holds. */
  readonly isFixed: boolean;
}

/** A configuration whose threshold an operator may override: environment over override over file over default. */
export class OverridableConfig implements ConfigHandle {
  readonly #base: ConfigHandle;
  #threshold: number | undefined;
  #from: LfoConfig | undefined;
  #current: LfoConfig | undefined;

  constructor(base: ConfigHandle) {
    this.#base = base;
  }

  current(): LfoConfig {
    const base = this.#base.current();
    if (this.#current !== undefined && this.#from === base) return this.#current;
    this.#from = base;
    this.#current = this.#applied(base);
    return this.#current;
  }

  /** `undefined` takes the override away. */
  overrideThreshold(value: number | undefined): void {
    if (value === this.#threshold) return;
    this.#threshold = value;
    this.#current = undefined;
  }

  threshold(): ThresholdState {
    const base = this.#base.current();
    const { origins, routing } = this.current();
    return {
      value: routing.confidenceThreshold,
      origin: origins[thresholdPath] ?? 'default',
      configured: base.routing.confidenceThreshold,
      isFixed: isFixed(base),
    };
  }

  #applied(base: LfoConfig): LfoConfig {
    if (this.#threshold === undefined || isFixed(base)) return base;
    return {
      ...base,
      routing: { ...base.routing, confidenceThreshold: this.#threshold },
      origins: { ...base.origins, [thresholdPath]: 'override' },
    };
  }
}

function isFixed({ origins }: LfoConfig): boolean {
  return origins[thresholdPath] === 'LFO_CONFIDENCE_THRESHOLD';
}
