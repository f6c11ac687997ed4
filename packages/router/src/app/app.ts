import { keepProbing } from '../backends/probing.ts';
import { Wakes } from '../backends/wake.ts';
import { OverriddenConfig } from '../config/overridden.ts';
import { keyRevoked } from '../core/errors.ts';
import { mayGoOn } from '../keys/open-keys.ts';
import { RetryBudget } from '../pipeline/retry.ts';
import { Chats } from '../pipeline/serve-chat.ts';
import { listen } from '../server/listen.ts';
import { LoopDelay } from '../telemetry/loop-delay.ts';
import { keepMarks } from './marks.ts';
import { createFleet } from './fleet.ts';
import { createLocalTier } from './local-tier.ts';
import type { AppOptions, HostProcess, RunningApp } from './running-app.ts';
import { addServerEnd, Shutdown } from './shutdown.ts';
import { announceStart } from './startup.ts';

/**
 * Builds the router and starts it; the one place that constructs. A chat comes in through the server, goes through
 * `chats` and the pipeline, and leaves by the writer of its dialect.
 * @throws when the address cannot be bound
 */
export async function startApp(given: AppOptions, host: HostProcess): Promise<RunningApp> {
  const { clock, logger: log } = given;
  const overridden = new OverriddenConfig(given.config);
  const options = { ...given, config: overridden };
  const config = overridden.current();
  const build = host.build ?? unknownBuild;
  const shutdown = new Shutdown(clock, log);
  const wakes = new Wakes(clock);
  const { members: local, embedded } = createLocalTier(config, { clock, log, wakes, ...host });
  // The model's process starts on its way while the larger part of the router is still read.
  const [
    { createCloudTier },
    { openDevices },
    { openDashboard, openHttp },
    { openLearning, openShadows },
    { openRecords },
    { openPeers },
    { openOperations },
    { openSignatures },
    { openSteering },
    { CalibrationsInForce, headsEstimator },
  ] = await Promise.all([
    import('./cloud-tier.ts'),
    import('./devices.ts'),
    import('./http.ts'),
    import('./learning.ts'),
    import('../records/open-records.ts'),
    import('../records/open-peers.ts'),
    import('./operations.ts'),
    import('./signatures.ts'),
    import('./steering.ts'),
    import('./estimator.ts'),
  ]);

  let inFlight = (): number => 0;
  const peers = openPeers(config, {
    clock,
    log,
    random: host.random,
    version: build.version,
    look: () => ({
      state: shutdown.hasBegun ? 'draining' : 'ready',
      inFlight: inFlight(),
      waiting: fleet.waiting(),
    }),
  });
  shutdown.add('backends', 'peers', () => peers.close());
  const router = (): string => peers.name;
  const records = openRecords({ ...options, router, peers });
  shutdown.add('deliveries', 'records', () => records.close());
  const signatures = openSignatures(records.signatures, log);
  const cloud = createCloudTier(config, { clock, ...signatures });
  const retries = new RetryBudget(config.retry, host.random);
  const heads = new CalibrationsInForce(config, log);
  const steered = openSteering(options, overridden, records, host.random, heads);
  const learning = openLearning(clock, headsEstimator(heads), records.labels, steered.steering);
  const fleet = createFleet({ local, cloud }, options, retries, learning, host.random);
  shutdown.add('backends', 'backends', () => fleet.close());
  const devices = openDevices(options, records, fleet, { ...host, wakes });
  shutdown.add('observers', 'devices', () => devices.stop());

  try {
    const loop = new LoopDelay(clock);
    const operations = await openOperations(config, { ...options, peers }, build, () => ({
      fleet: fleet.view(),
      devices: devices.figures(),
      inFlight: chats.size,
      waiting: fleet.waiting(),
      loopDelayMs: loop.worstMs,
      loopUtilization: loop.utilization,
      records: records.status(),
      captures: records.captured(),
      sentinels: signatures.sentinels(),
    }));
    const { keys } = operations;
    shutdown.add('deliveries', 'keys', () => keys.close());
    shutdown.add('deliveries', 'traces', (signal) => operations.closeTracing(signal));

    const dashboard = openDashboard(options, {
      devices,
      fleet,
      records,
      operations,
      steered,
      peers,
      build,
      overridden,
    });
    const { stagesFor } = fleet;
    const shadows = openShadows(options, { random: host.random, stagesFor, records, learning, steered });
    shutdown.add('observers', 'shadows', () => shadows.close());
    const sinks = [dashboard.live, records, operations, ...learning.sinks, shadows];
    const chats: Chats = new Chats({ ...options, router, retries, stagesFor, costOf: records.costOf, sinks });
    inFlight = () => chats.size;
    keys.onChange(() => chats.endUnless((keyId) => mayGoOn(keys.ring, keyId, clock.wallMs()), keyRevoked));

    const server = openHttp(options, {
      host,
      peers,
      devices,
      fleet,
      records,
      operations,
      steered,
      dashboard,
      chats,
      loop,
      shutdown,
    });
    const url = await listen(server, config.server);
    void devices.start();
    shutdown.add('observers', 'marks', keepMarks(records.store, options.config, clock, router));
    addServerEnd(shutdown, { server, chats, config: options.config, clock, beforeDrain: () => void peers.beat() });

    loop.start();
    shutdown.add('observers', 'goals', steered.steering.start());
    shutdown.add('observers', 'loop delay', () => loop.stop());
    const probed = local.flatMap(({ backend }) => (backend === embedded ? [] : [backend]));
    const probing = keepProbing(probed, clock);
    shutdown.add('observers', 'probing', probing.stop);
    const needsKey = keys.verifyKey(undefined) === undefined;
    const { processStartMs, startup: listener } = options;
    const view = () => fleet.view();
    const announced = {
      clock,
      processStartMs,
      listener,
      url,
      needsKey,
      embedded,
      fleet: view,
      hasLooked: probing.hasLooked,
    };
    shutdown.add('observers', 'start', announceStart(announced));
    return { url, close: () => shutdown.run() };
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

const unknownBuild = { version: 'unknown', node: 'unknown' };
