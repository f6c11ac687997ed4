import type { SettingsBody } from '../admin/wire.ts';
import type { OverridableConfig } from '../config/overridable.ts';
import { shownSettings } from '../config/show.ts';
import { defaultPolicies } from '../routing/policies.ts';
import { shippedHeads } from './estimator.ts';

/** What is in force now. */
export function settingsBody(
  config: OverridableConfig,
  build: Pick<SettingsBody, 'version' | 'node' | 'router'>,
): SettingsBody {
  const current = config.current();
  return {
    ...build,
    settings: shownSettings(current),
    origins: current.origins,
    threshold: config.threshold(),
    policies: defaultPolicies.map(({ name }) => name),
    calibrations: shippedHeads().calibrations.map(({ id, model, fittedOn }) => ({
      id,
      model: model.model ?? 'every model',
      fittedOn: fittedOn.n,
    })),
    savedAgainst: current.backends.find(({ tier }) => tier === 'cloud')?.models[0] ?? null,
  };
}
