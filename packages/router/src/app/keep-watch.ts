import type { DeviceBackend } from '../backends/engines/device/device-backend.ts';
import { keepProbing, keepReadingLoad } from '../backends/probing.ts';
import type { LoopDelay } from '../telemetry/loop-delay.ts';
import type { Answering } from './answering.ts';
import type { TierMember } from './local-tier.ts';
import { keepMarks } from './marks.ts';
import type { AppOptions } from './running-app.ts';
import type { Shutdown } from './shutdown.ts';
import { announceStart } from './startup.ts';
import type { State } from './state.ts';

/** What a serving router looks after beside its requests: its servers, its goals, its own event loop, and who started it. */
export function keepWatch(
  options: AppOptions,
  {
    url,
    needsKey,
    local,
    embedded,
    loop,
    shutdown,
    answering: { fleet, steered },
    state: { records, peers },
  }: {
    readonly url: string;
    readonly needsKey: boolean;
    readonly local: readonly TierMember[];
    readonly embedded: DeviceBackend | undefined;
    readonly loop: LoopDelay;
    readonly shutdown: Shutdown;
    readonly answering: Answering;
    readonly state: State;
  },
): void {
  const { clock, config, processStartMs, startup: listener } = options;
  shutdown.add(
    'observers',
    'marks',
    keepMarks(records.store, config, clock, () => peers.name),
  );
  shutdown.add('observers', 'goals', steered.steering.start());
  loop.start();
  shutdown.add('observers', 'loop delay', () => loop.stop());
  const servers = local.flatMap(({ backend }) => (backend === embedded ? [] : [backend]));
  const { hasLooked, stop } = keepProbing(servers, clock);
  shutdown.add('observers', 'probing', stop);
  const telling = servers.filter((backend) => backend.readLoad !== undefined);
  shutdown.add('observers', 'load of engines', keepReadingLoad(telling, clock));
  const told = { clock, processStartMs, listener, url, needsKey, embedded, fleet: () => fleet.view(), hasLooked };
  shutdown.add('observers', 'start', announceStart(told));
}
