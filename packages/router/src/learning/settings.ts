import {
  isOverridable,
  misfitOf,
  type OverriddenConfig,
  overridableSettings,
  type OverridableSetting,
  type SettingOrigin,
} from '../config/overridden.ts';
import { LfoError, RequestError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';
import type { OverrideTable } from '../records/override-table.ts';

/** A setting that may be changed while LFO runs. */
export interface SettingView {
  readonly setting: OverridableSetting;
  /** `null`: none. */
  readonly value: JsonValue;
  readonly origin: SettingOrigin;
  /** The variable that fixes it; `null` where it may be changed. */
  readonly fixedBy: string | null;
}

/** Changes settings in the database, for this router at once and for others within a minute. */
export class Settings {
  readonly #config: OverriddenConfig;
  readonly #table: OverrideTable;
  readonly #changed: () => Promise<void>;

  constructor(config: OverriddenConfig, table: OverrideTable, changed: () => Promise<void>) {
    this.#config = config;
    this.#table = table;
    this.#changed = changed;
  }

  list(): readonly SettingView[] {
    return overridableSettings.map((setting) => this.#view(setting));
  }

  /** Rejects while the database cannot be read. */
  async load(): Promise<void> {
    this.#config.lay(await this.#table.list());
  }

  /**
   * Lays a value over the file's.
   * @throws LfoError 404 for a setting that cannot be changed so, 409 where the environment fixes it; RequestError for a
   * value that does not fit
   */
  async set(setting: string, value: JsonValue, clientKey: string): Promise<SettingView> {
    const known = this.#changeable(setting);
    const why = misfitOf(known, value);
    if (why !== undefined) throw new RequestError(`${setting}: ${why}.`, { param: 'value' });
    await this.#table.set(setting, value, clientKey);
    return await this.#reloaded(known);
  }

  /** Undoes a change. */
  async unset(setting: string): Promise<SettingView> {
    const known = this.#changeable(setting);
    await this.#table.delete(setting);
    return await this.#reloaded(known);
  }

  async #reloaded(setting: OverridableSetting): Promise<SettingView> {
    await this.load();
    await this.#changed();
    return this.#view(setting);
  }

  #changeable(setting: string): OverridableSetting {
    if (!isOverridable(setting)) {
      throw new LfoError(`${setting} cannot be changed here; these can: ${overridableSettings.join(', ')}.`, {
        code: 'unknown_setting',
        status: 404,
      });
    }
    const variable = this.#config.fixedBy(setting);
    if (variable === undefined) return setting;
    throw new LfoError(`${setting} is fixed by the environment: unset ${variable} and start LFO anew.`, {
      code: 'setting_fixed',
      status: 409,
    });
  }

  #view(setting: OverridableSetting): SettingView {
    return {
      setting,
      value: this.#config.valueOf(setting),
      origin: this.#config.originOf(setting),
      fixedBy: this.#config.fixedBy(setting) ?? null,
    };
  }
}
