import { admissionError } from '../server/admission.ts';
import { BoundedSignatureStore } from '../backends/engines/gemini/signature-store.ts';
import { keepProbing } from '../backends/probing.ts';
import { RetryBudget } from '../pipeline/retry.ts';
import { Chats } from '../pipeline/serve-chat.ts';
import { sleep } from '../core/clock.ts';
import { keyRevoked, shuttingDown } from '../core/errors.ts';
import { LoopDelay } from '../telemetry/loop-delay.ts';
import type { AppOptions, HostProcess, RunningApp } from './running-app.ts';
import { createDashboard } from '../admin/dashboard.ts';
import { createFleet } from './fleet.ts';
import { listen } from '../server/listen.ts';
import { mayGoOn } from '../keys/open-keys.ts';
import { createLocalTier } from './local-tier.ts';
import { modelLister } from './model-list.ts';
import { spentBy } from './spent.ts';
import { readinessOf } from './readiness.ts';
import { explain } from './stages.ts';
import { announceStart } from './startup.ts';

/**
 * Builds the router and starts it; the one place that constructs. A chat comes in through the server, goes through
 * `chats` and the pipeline, and leaves by the writer of its dialect.
 * @throws when the address cannot be bound
 */
export async function startApp(options: AppOptions, host: HostProcess): Promise<RunningApp> {
  const { clock, logger: log } = options;
  const config = options.config.current();
  const { members: local, embedded } = createLocalTier(config, { clock, log, ...host });
  // The model's process starts on its way while the larger part of the router is still read.
  const [{ createCloudTier }, { createHttp }, { openRecords }, { openOperations }] = await Promise.all([
    import('./cloud-tier.ts'),
    import('./routes.ts'),
    import('../records/open-records.ts'),
    import('./operations.ts'),
  ]);
  const records = openRecords(options);
  const signatures = new BoundedSignatureStore(undefined, records.signatures);
  signatures.restore().catch(() => log.warn('Signatures of earlier tool calls could not be read from the database.'));
  let sentinels = 0;
  const cloud = createCloudTier(config, {
    clock,
    signatures,
    onSentinel() {
      sentinels++;
      log.warn('A tool call went to Gemini without its signature; answers may be worse for it.');
    },
  });
  const retries = new RetryBudget(config.retry, host.random);
  const fleet = createFleet({ local, cloud }, options, retries);

  const loop = new LoopDelay(clock);
  const operations = await openOperations(config, options, host.build ?? unknownBuild, () => ({
    fleet: fleet.view(),
    inFlight: chats.size,
    waiting: fleet.waiting(),
    loopDelayMs: loop.worstMs,
    records: records.status(),
    captures: records.captured(),
    sentinels,
  })).catch(async (error: unknown) => {
    await Promise.all([fleet.close(), records.close()]);
    throw error;
  });
  const { keys, metrics } = operations;

  const readiness = () => readinessOf(fleet.view());
  const dashboard = createDashboard({
    clock,
    store: records.store,
    verifyKey: keys.verifyKey,
    fleet: () => fleet.view(),
    readiness,
    records: () => records.status(),
    keyName: (id) => keys.ring.find(id)?.name,
    setDraining(id, isDraining) {
      const isKnown = fleet.setDraining(id, isDraining);
      if (isKnown) log.info({ backend: id }, isDraining ? 'backend drained' : 'backend resumed');
      return isKnown;
    },
  });

  const { stagesFor } = fleet;
  const { costOf } = records;
  const sinks = [dashboard.live, records, operations];
  const chats: Chats = new Chats({ ...options, retries, stagesFor, costOf, sinks });
  keys.onChange(() => {
    const wallMs = clock.wallMs();
    chats.endUnless((keyId) => mayGoOn(keys.ring, keyId, wallMs), keyRevoked);
  });

  let isDraining = false;
  const server = createHttp({
    config,
    clock,
    log,
    pace: () => options.config.current().server,
    chat: async (exchange) => spentBy(await chats.serve(exchange)),
    verifyKey: keys.verifyKey,
    sessionAuth: dashboard.sessionAuth,
    quota: keys.quota,
    metrics: () => metrics.text(),
    onRefusal: (code) => metrics.refused(code),
    models: modelLister(fleet.members, clock),
    explain: (request, signal) => explain(request, signal, stagesFor(request)),
    readiness,
    isDraining: () => isDraining,
    isDegraded: () => loop.worstMs >= stallMs,
    admissionError: () =>
      admissionError({
        inside: chats.size,
        waiting: fleet.waiting(),
        concurrency: options.config.current().limits.concurrency,
        standingDelayMs: loop.standingMs,
      }),
  });
  dashboard.addTo(server);

  const closeParts = async (): Promise<void> => {
    await fleet.close();
    await Promise.all([records.close(), operations.close()]);
  };
  const url = await listen(server, config.server).catch(async (error: unknown) => {
    await closeParts();
    throw error;
  });
  loop.start();
  const probed = local.flatMap(({ backend }) => (backend === embedded ? [] : [backend]));
  const stopProbing = keepProbing(probed, clock);
  const stopAnnouncing = announceStart({
    clock,
    processStartMs: options.processStartMs,
    listener: options.startup,
    url,
    needsKey: keys.verifyKey(undefined) === undefined,
    embedded,
    fleet: () => fleet.view(),
  });

  /** Lets what runs come to its end, then ends it, then everything else. */
  const close = async (): Promise<void> => {
    isDraining = true;
    stopAnnouncing();
    stopProbing();
    loop.stop();
    const stopped = server.close();
    await chats.drained(options.config.current().server.shutdownGraceMs);
    chats.endUnless(() => false, shuttingDown);
    await chats.drained(lastWordsMs);
    // A reader that takes nothing would keep us for as long as it likes, and so would a connection that is kept alive.
    server.server.closeIdleConnections();
    await Promise.race([stopped, sleep(clock, lastWordsMs, new AbortController().signal)]);
    server.server.closeAllConnections();
    await stopped;
    await closeParts();
  };
  let closing: Promise<void> | undefined;
  return { url, close: () => (closing ??= close()) };
}

/** A delay of the event loop that users would notice; health says so. */
const stallMs = 250;

/** For error frames to leave, and for requests other than chats. */
const lastWordsMs = 500;

const unknownBuild = { version: 'unknown', node: 'unknown' };
