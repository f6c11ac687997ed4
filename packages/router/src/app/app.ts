import { Wakes } from '../backends/wake.ts';
import { OverriddenConfig } from '../config/overridden.ts';
import type { FleetRouter } from '../core/devices.ts';
import { keyRevoked } from '../core/errors.ts';
import { mayGoOn } from '../keys/open-keys.ts';
import { listen } from '../server/listen.ts';
import { LoopDelay } from '../telemetry/loop-delay.ts';
import { createLocalTier } from './local-tier.ts';
import type { AppOptions, HostProcess, RunningApp } from './running-app.ts';
import { addServerEnd, Shutdown } from './shutdown.ts';

/**
 * Builds the router and starts it; the one place that constructs. A chat comes in through the server, goes through
 * `chats` and the pipeline, and leaves by the writer of its dialect.
 * @throws when the address cannot be bound
 */
export async function startApp(given: AppOptions, host: HostProcess): Promise<RunningApp> {
  const { clock, logger: log } = given;
  const options = { ...given, config: new OverriddenConfig(given.config) };
  const config = options.config.current();
  const shutdown = new Shutdown(clock, log);
  const wakes = new Wakes(clock);
  const { members: local, embedded } = createLocalTier(config, { clock, log, wakes, ...host });
  // The model's process starts on its way while the larger part of the router is still read.
  const parts = await import('./parts.ts');

  let load = () => ({ inFlight: 0, waiting: 0 });
  let place = (): { fleet?: FleetRouter } => ({});
  const state = parts.openState(options, given.config, host, shutdown, () => ({ ...load(), ...place() }));
  const answering = parts.openAnswering(options, local, state, { ...host, wakes }, shutdown);
  const { records, peers, signatures } = state;
  const { fleet, devices, retries, learning, steered } = answering;
  place = () => {
    const { address } = devices;
    return address === undefined ? {} : { fleet: address };
  };

  try {
    const loop = new LoopDelay(clock);
    const operations = await parts.openOperations(
      config,
      { ...options, peers, store: records.store },
      host.build,
      () => ({
        ...load(),
        fleet: fleet.view(),
        devices: devices.figures(),
        loopDelayMs: loop.worstMs,
        loopUtilization: loop.utilization,
        records: records.status(),
        captures: records.captured(),
        sentinels: signatures.sentinels(),
      }),
    );
    const { keys } = operations;
    state.closeKeys = () => keys.close();
    shutdown.add('deliveries', 'traces', (signal) => operations.closeTracing(signal));

    const shown = { host, peers, devices, fleet, records, operations, steered };
    const dashboard = parts.openDashboard(options, shown);
    const { stagesFor } = fleet;
    const shadows = parts.openShadows(options, { random: host.random, stagesFor, records, learning, steered });
    shutdown.add('observers', 'shadows', () => shadows.close());
    const prefixes = new parts.PrefixReuse(log);
    const sinks = [prefixes, dashboard.live, records, operations, ...learning.sinks, shadows];
    const router = (): string => peers.name;
    const chats = new parts.Chats({ ...options, router, retries, stagesFor, costOf: records.costOf, sinks });
    load = () => ({ inFlight: chats.size, waiting: fleet.waiting() });
    keys.onChange(() => chats.endUnless((keyId) => mayGoOn(keys.ring, keyId, clock.wallMs()), keyRevoked));

    const server = parts.openHttp(options, { ...shown, dashboard, chats, loop, shutdown });
    const url = await listen(server, config.server, parts.ollamaPort(config.server, log));
    addServerEnd(shutdown, { server, chats, config: options.config, clock, beforeDrain: () => void peers.beat() });
    void devices.start();
    const needsKey = keys.verifyKey(undefined) === undefined;
    parts.keepWatch(options, { url, needsKey, embedded, loop, shutdown, answering, state });
    return { url, close: () => shutdown.run() };
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}
