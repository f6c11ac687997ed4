import { refusalAtDoor } from './admission.ts';
import { keepProbing } from './backends/probing.ts';
import { RetryBudget } from './backends/retry.ts';
import { tieredPool } from './backends/tiered-pool.ts';
import { deadlineExceeded } from './backends/watch.ts';
import { childOf, type ChildAbort } from './core/abort.ts';
import type { FleetView } from './core/backend.ts';
import { type Clock, sleep } from './core/clock.ts';
import { LfoError, shuttingDown } from './core/errors.ts';
import type { ChatExchange, Readiness } from './core/exchange.ts';
import { LoopDelay } from './core/loop-delay.ts';
import type { ChatRequest } from './core/request.ts';
import type { AppOptions, RunningApp } from './core/running-app.ts';
import { beginTrace } from './core/trace.ts';
import { respond } from './egress/respond.ts';
import { createDashboard } from './dashboard.ts';
import { listen } from './ingress/listen.ts';
import type { Spent } from './ingress/quota.ts';
import { mayGoOn } from './key-keeping.ts';
import { createLocalTier } from './local-tier.ts';
import { modelLister } from './model-list.ts';
import { answer, type Stages } from './pipeline.ts';
import { explain, poolOf, stagesOver } from './stages.ts';
import { announceStart } from './startup.ts';

/** What the process it runs in lends the router. */
export interface HostProcess {
  /** Path of the Node that runs it; runs the model's child too. */
  readonly execPath: string;
  /** Environment of the model's child, without any key. */
  readonly childEnv: Readonly<Record<string, string | undefined>>;
  /** 0..1, uniform. */
  readonly random: () => number;
  /** Absent: unknown. */
  readonly build?: { readonly version: string; readonly node: string };
  /** Further options of the model's child, for tests. */
  readonly childOptions?: Readonly<Record<string, unknown>>;
}

/**
 * Builds the router and starts it. The one place that constructs: two sets of stages, of which the one for `local`
 * requests is handed nothing that reaches the cloud.
 * @throws when the address cannot be bound
 */
export async function startApp(options: AppOptions, host: HostProcess): Promise<RunningApp> {
  const { clock, logger: log } = options;
  const config = options.config.current();
  const { members: local, embedded } = createLocalTier(config, { clock, log, ...host });
  // The model's process starts on its way while the larger part of the router is still read.
  const [{ createCloudTier }, { buildServer }, { openRecords }, { openOperations }] = await Promise.all([
    import('./cloud-tier.ts'),
    import('./ingress/server.ts'),
    import('./record-keeping.ts'),
    import('./operations.ts'),
  ]);
  const records = openRecords(options);
  let sentinels = 0;
  const cloud = createCloudTier(config, {
    clock,
    signatures: records.signatures,
    onSentinel() {
      sentinels++;
      log.warn('A tool call went to Gemini without its signature; answers may be worse for it.');
    },
  });
  const members = [...local, ...cloud];

  const retries = new RetryBudget(config.retry, host.random);
  const localPool = poolOf(local, options);
  const cloudPool = poolOf(cloud, options);
  const localStages = stagesOver(localPool, options, retries, local);
  const allStages =
    cloud.length === 0
      ? localStages
      : stagesOver(tieredPool({ local: localPool, cloud: cloudPool }), options, retries, local);
  const stagesFor = (request: ChatRequest): Stages => (request.hints.mode === 'local' ? localStages : allStages);

  let isDraining = false;
  /** What runs, and whose it is. */
  const running = new Map<ChildAbort, string | undefined>();
  const loop = new LoopDelay(clock);
  const waiting = (): number => localPool.waiting + cloudPool.waiting;
  const operations = await openOperations(config, options, host.build ?? unknownBuild, () => ({
    fleet: allStages.pool.view(),
    inFlight: running.size,
    waiting: waiting(),
    loopDelayMs: loop.worstMs,
    records: records.status(),
    sentinels,
  })).catch(async (error: unknown) => {
    await Promise.all([...members.map(({ backend }) => backend.close()), records.close()]);
    throw error;
  });
  const { keys, metrics } = operations;
  keys.onChange(() => {
    const wallMs = clock.wallMs();
    for (const [abort, keyId] of running) if (!mayGoOn(keys.ring, keyId, wallMs)) abort.abort(keyRevoked());
  });

  const readiness = (): Readiness => readinessOf(allStages.pool.view());
  const dashboard = createDashboard({
    clock,
    store: records.store,
    verifyKey: keys.verifyKey,
    fleet: () => allStages.pool.view(),
    readiness,
    records: () => records.status(),
    setDraining(id, isDraining) {
      const isKnown = localPool.setDraining(id, isDraining) || cloudPool.setDraining(id, isDraining);
      if (isKnown) log.info({ backend: id }, isDraining ? 'backend drained' : 'backend resumed');
      return isKnown;
    },
  });

  const server = buildServer({
    config,
    clock,
    log,
    chat: (exchange) => chat(exchange),
    verifyKey: keys.verifyKey,
    door: dashboard.door,
    quota: keys.quota,
    metrics: () => metrics.text(),
    onRefusal: (code) => metrics.refused(code),
    models: modelLister(members, clock),
    explain: (request, signal) => explain(request, signal, stagesFor(request)),
    readiness,
    isDraining: () => isDraining,
    isDegraded: () => loop.worstMs >= stallMs,
    refusal: () =>
      refusalAtDoor({
        inside: running.size,
        waiting: waiting(),
        concurrency: options.config.current().limits.concurrency,
        loop,
      }),
  });

  dashboard.addTo(server);

  async function chat(exchange: ChatExchange): Promise<Spent> {
    const { request, receivedMs } = exchange;
    const { routing, server: serverConfig } = options.config.current();
    retries.requestStarted();
    const threshold = request.hints.confidenceThreshold ?? routing.confidenceThreshold;
    const trace = beginTrace(request, { startMs: receivedMs, startedAtMs: clock.wallMs() }, threshold);
    const abort = childOf(exchange.signal);
    running.set(abort, request.hints.clientKey);
    dashboard.live.begin(trace, request.hints.clientKey);
    const deadlineMs = request.hints.deadlineMs === undefined ? undefined : receivedMs + request.hints.deadlineMs;
    const cancelDeadline =
      deadlineMs === undefined
        ? undefined
        : clock.schedule(Math.max(0, deadlineMs - clock.nowMs()), () => abort.abort(deadlineExceeded()));
    try {
      const events = answer(
        request,
        { signal: abort.signal, deadlineMs, trace, costOf: records.costOf },
        stagesFor(request),
      );
      const { heartbeatMs, slowReaderMs } = serverConfig;
      const delivery = await respond(exchange, records.follow(request, events), trace, {
        clock,
        heartbeatMs,
        slowReaderMs,
      });
      trace.endMs = clock.nowMs();
      dashboard.live.end(trace, delivery);
      records.record(trace, { ...delivery, ...keyOf(request) });
      log.info(
        {
          requestId: request.id,
          status: delivery.status,
          code: delivery.error?.code,
          route: trace.route,
          reason: trace.reason,
          backend: trace.backend,
          ms: Math.round(trace.endMs - receivedMs),
        },
        'request answered',
      );
      return operations.ended(trace, delivery.status);
    } finally {
      cancelDeadline?.();
      abort.release();
      running.delete(abort);
    }
  }

  const stopProbing = keepProbing(
    local.flatMap(({ backend }) => (backend === embedded ? [] : [backend])),
    clock,
  );
  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    isDraining = true;
    stopAnnouncing();
    stopProbing();
    loop.stop();
    const stopped = server.close();
    await drained(running, options.config.current().server.shutdownGraceMs, clock);
    for (const abort of running.keys()) abort.abort(shuttingDown());
    await drained(running, lastWordsMs, clock);
    // A reader that takes nothing would keep us for as long as it likes, and so would a connection that is kept alive.
    server.server.closeIdleConnections();
    await Promise.race([stopped, sleep(clock, lastWordsMs, new AbortController().signal)]);
    server.server.closeAllConnections();
    await stopped;
    await Promise.all(members.map(({ backend }) => backend.close()));
    await Promise.all([records.close(), operations.close()]);
  }

  let url: string;
  try {
    url = await listen(server, config.server);
  } catch (error) {
    await Promise.all(members.map(({ backend }) => backend.close()));
    await Promise.all([records.close(), operations.close()]);
    throw error;
  }
  loop.start();
  const stopAnnouncing = announceStart({
    clock,
    processStartMs: options.processStartMs,
    listener: options.startup,
    url,
    needsKey: keys.verifyKey(undefined) === undefined,
    embedded,
    fleet: () => allStages.pool.view(),
  });
  return { url, close: () => (closing ??= close()) };
}

/** A delay of the event loop that users would notice; health says so. */
const stallMs = 250;

function readinessOf(fleet: FleetView): Readiness {
  const reasons = fleet.backends.flatMap(({ id, status, isDraining }) => {
    if (status.state !== 'ready') return `${id}: ${status.detail ?? status.state}`;
    return isDraining === true ? `${id}: draining` : [];
  });
  const ready = reasons.length < fleet.backends.length;
  return { ready, reasons: fleet.backends.length === 0 ? ['No backend is configured.'] : reasons };
}

function keyOf({ hints }: ChatRequest): { readonly clientKey?: string } {
  return hints.clientKey === undefined ? {} : { clientKey: hints.clientKey };
}

/** Resolves when nothing runs any more or the time is over. */
async function drained(running: { readonly size: number }, graceMs: number, clock: Clock): Promise<void> {
  const never = new AbortController().signal;
  const until = clock.nowMs() + graceMs;
  while (running.size > 0 && clock.nowMs() < until) await sleep(clock, drainLookMs, never);
}

const drainLookMs = 20;

/** For error frames to leave, and for requests other than chats. */
const lastWordsMs = 500;

const unknownBuild = { version: 'unknown', node: 'unknown' };

function keyRevoked(): LfoError {
  return new LfoError('This key was revoked.', { code: 'invalid_api_key', status: 401 });
}
