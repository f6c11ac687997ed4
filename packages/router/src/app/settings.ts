import type { SettingsBody } from '../admin/wire.ts';
import { overridableSettings, type OverriddenConfig } from '../config/overridden.ts';
import { shownSettings } from '../config/show.ts';
import { defaultPolicies } from '../routing/policies.ts';
import { shippedHeads } from './estimator.ts';

/** What is in force now. */
export function settingsBody(
  config: OverriddenConfig,
  build: Pick<SettingsBody, 'version' | 'node' | 'router'>,
): SettingsBody {
  const current = config.current();
  const overridden = overridableSettings.filter((name) => config.originOf(name) === 'override');
  const origins = { ...current.origins, ...Object.fromEntries(overridden.map((name) => [name, 'override'])) };
  return {
    ...build,
    settings: shownSettings(current),
    origins,
    threshold: {
      value: current.routing.confidenceThreshold,
      origin: origins[thresholdName] ?? 'default',
      isFixed: config.fixedBy(thresholdName) !== undefined,
    },
    policies: defaultPolicies.map(({ name }) => name),
    calibrations: shippedHeads().calibrations.map(({ id, model, fittedOn }) => ({
      id,
      model: model.model ?? 'every model',
      fittedOn: fittedOn.n,
    })),
    savedAgainst: current.backends.find(({ tier }) => tier === 'cloud')?.models[0] ?? null,
  };
}

const thresholdName = 'routing.confidence_threshold';
