import type { Wakes } from '../backends/wake.ts';
import type { OverriddenConfig } from '../config/overridden.ts';
import type { Devices } from '../fleet/devices.ts';
import { RetryBudget } from '../pipeline/retry.ts';
import { followBackends } from './backend-changes.ts';
import { cloudMaker } from './cloud-tier.ts';
import { openDevices } from './devices.ts';
import { CalibrationsInForce } from './estimator.ts';
import { createFleet, type Fleet } from './fleet.ts';
import { type Learning, openLearning } from './learning.ts';
import { localServer, type TierMember } from './local-tier.ts';
import type { AppOptions, HostProcess } from './running-app.ts';
import type { Shutdown } from './shutdown.ts';
import type { State } from './state.ts';
import { openSteering, type Steered } from './steering.ts';

/** Who answers, who judges the answers, and what moves the threshold between the tiers. */
export interface Answering {
  readonly fleet: Fleet;
  readonly devices: Devices;
  readonly retries: RetryBudget;
  readonly learning: Learning;
  readonly steered: Steered;
}

/** @param local the embedded model and the servers of the own network */
export function openAnswering(
  options: AppOptions & { readonly config: OverriddenConfig },
  local: readonly TierMember[],
  { records, signatures, peers }: State,
  host: HostProcess & { readonly wakes: Wakes },
  shutdown: Shutdown,
): Answering {
  const { clock, logger: log } = options;
  const config = options.config.current();
  const cloudMember = cloudMaker(config, { clock, ...signatures });
  const cloud = config.backends.flatMap((backend) => cloudMember(backend) ?? []);
  const retries = new RetryBudget(config.retry, host.random);
  const heads = new CalibrationsInForce(config, log);
  const steered = openSteering(options, options.config, records, host.random, heads);
  const learning = openLearning(clock, heads, records.labels, steered.steering);
  const fleet = createFleet({ local, cloud }, options, retries, learning, host.random);
  shutdown.add('backends', 'backends', () => fleet.close());
  const { wakes } = host;
  const stopFollowing = followBackends(options, fleet, (backend) =>
    backend.kind !== 'gemini' && backend.tier === 'local'
      ? localServer(backend, config, { clock, wakes })
      : cloudMember(backend),
  );
  shutdown.add('observers', 'backend changes', async () => stopFollowing());
  const devices = openDevices(options, records, fleet, { ...host, peers });
  shutdown.add('observers', 'devices', () => devices.stop());
  return { fleet, devices, retries, learning, steered };
}
