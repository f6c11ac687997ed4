import type { DeviceBackend } from '../backends/engines/device/device-backend.ts';
import { keepProbing, keepReadingLoad } from '../backends/probing.ts';
import type { Backend } from '../core/backend.ts';
import type { LoopDelay } from '../telemetry/loop-delay.ts';
import type { Answering } from './answering.ts';
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
    embedded,
    loop,
    shutdown,
    answering: { fleet, steered },
    state: { records, peers },
  }: {
    readonly url: string;
    readonly needsKey: boolean;
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
  // Devices tell of themselves, and of a cloud nothing is asked but answers.
  const servers = (): readonly Backend[] =>
    fleet.members.flatMap(({ backend }) =>
      backend.tier === 'local' && backend !== embedded && backend.label === undefined ? [backend] : [],
    );
  const telling = (): readonly Backend[] => servers().filter((backend) => backend.readLoad !== undefined);
  const probing = keepProbing(servers(), clock);
  const loads = keepReadingLoad(telling(), clock);
  const stopFollowing = fleet.onChange(() => {
    probing.follow(servers());
    loads.follow(telling());
  });
  shutdown.add('observers', 'probing', () => {
    stopFollowing();
    probing.stop();
    loads.stop();
  });
  const { hasLooked } = probing;
  const told = { clock, processStartMs, listener, url, needsKey, embedded, fleet: () => fleet.view(), hasLooked };
  shutdown.add('observers', 'start', announceStart(told));
}
