import { join } from 'node:path';
import { refusalAtDoor } from './admission.ts';
import { Pool } from './backends/pool.ts';
import { keepProbing } from './backends/probing.ts';
import { RetryBudget } from './backends/retry.ts';
import { tieredPool } from './backends/tiered-pool.ts';
import { deadlineExceeded } from './backends/watch.ts';
import { answerJudge } from './confidence/answer-judge.ts';
import { childOf, type ChildAbort } from './core/abort.ts';
import type { BackendPool, FleetView } from './core/backend.ts';
import { type Clock, sleep } from './core/clock.ts';
import { LfoError } from './core/errors.ts';
import type { ChatExchange, ListedModel, Readiness, RouteExplanation } from './core/exchange.ts';
import { LoopDelay } from './core/loop-delay.ts';
import type { ChatRequest } from './core/request.ts';
import type { AppOptions, RunningApp } from './core/running-app.ts';
import { BoundedSignatureStore } from './core/signatures.ts';
import { beginTrace } from './core/trace.ts';
import { respond } from './egress/respond.ts';
import { listen } from './ingress/listen.ts';
import { createLocalTier, type TierMember } from './local-tier.ts';
import { answer, type Stages } from './pipeline.ts';
import { Recorder } from './records/recorder.ts';
import { StoredSignatureJournal } from './records/signature-journal.ts';
import type { SqliteStore } from './records/store/sqlite-store.ts';
import { decide } from './routing/decide.ts';
import { explainRoute } from './routing/explain.ts';
import { createMeasure } from './routing/measure.ts';
import { defaultPolicies } from './routing/policies/default-policies.ts';
import { announceStart } from './startup.ts';

/** What the process it runs in lends the router. */
export interface HostProcess {
  /** Path of the Node that runs it; runs the model's child too. */
  readonly execPath: string;
  /** Environment of the model's child, without any key. */
  readonly childEnv: Readonly<Record<string, string | undefined>>;
  /** 0..1, uniform. */
  readonly random: () => number;
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
  const [{ createCloudTier }, { buildServer }, { SqliteStore }] = await Promise.all([
    import('./cloud-tier.ts'),
    import('./ingress/server.ts'),
    import('./records/store/sqlite-store.ts'),
  ]);
  const records = openRecords(new SqliteStore(join(config.dataDir, 'lfo.db')), options);
  const cloud = createCloudTier(config, {
    clock,
    signatures: records.signatures,
    onSentinel: () => log.warn('A tool call went to Gemini without its signature; answers may be worse for it.'),
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
  const running = new Set<ChildAbort>();
  const loop = new LoopDelay(clock);

  const server = buildServer({
    config,
    clock,
    log,
    chat: (exchange) => chat(exchange),
    models: modelLister(members, clock),
    explain: (request, signal) => explain(request, signal, stagesFor(request)),
    readiness: () => readinessOf(allStages.pool.view()),
    isDraining: () => isDraining,
    isDegraded: () => loop.worstMs >= stallMs,
    refusal: () =>
      refusalAtDoor({
        inside: running.size,
        waiting: localPool.waiting + cloudPool.waiting,
        concurrency: options.config.current().limits.concurrency,
        loop,
      }),
  });

  async function chat(exchange: ChatExchange): Promise<void> {
    const { request, receivedMs } = exchange;
    const { routing, server: serverConfig } = options.config.current();
    retries.requestStarted();
    const threshold = request.hints.confidenceThreshold ?? routing.confidenceThreshold;
    const trace = beginTrace(request, { startMs: receivedMs, startedAtMs: clock.wallMs() }, threshold);
    const abort = childOf(exchange.signal);
    running.add(abort);
    const deadlineMs = request.hints.deadlineMs === undefined ? undefined : receivedMs + request.hints.deadlineMs;
    const cancelDeadline =
      deadlineMs === undefined
        ? undefined
        : clock.schedule(Math.max(0, deadlineMs - clock.nowMs()), () => abort.abort(deadlineExceeded()));
    try {
      const events = answer(request, { signal: abort.signal, deadlineMs, trace }, stagesFor(request));
      const { heartbeatMs, slowReaderMs } = serverConfig;
      const delivery = await respond(exchange, events, trace, { clock, heartbeatMs, slowReaderMs });
      trace.endMs = clock.nowMs();
      records.recorder.record(trace, { ...delivery, ...keyOf(request) });
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
    for (const abort of running) abort.abort(shuttingDown());
    await drained(running, lastWordsMs, clock);
    // A reader that takes nothing would keep us for as long as it likes, and so would a connection that is kept alive.
    server.server.closeIdleConnections();
    await Promise.race([stopped, sleep(clock, lastWordsMs, new AbortController().signal)]);
    server.server.closeAllConnections();
    await stopped;
    await Promise.all(members.map(({ backend }) => backend.close()));
    await records.close();
  }

  let url: string;
  try {
    url = await listen(server, config.server);
  } catch (error) {
    await Promise.all(members.map(({ backend }) => backend.close()));
    await records.close();
    throw error;
  }
  loop.start();
  const stopAnnouncing = announceStart({
    clock,
    processStartMs: options.processStartMs,
    listener: options.startup,
    url,
    needsKey: config.server.authToken !== undefined,
    embedded,
    fleet: () => allStages.pool.view(),
  });
  return { url, close: () => (closing ??= close()) };
}

interface Records {
  readonly recorder: Recorder;
  readonly signatures: BoundedSignatureStore;
  close(): Promise<void>;
}

/** The database never decides whether LFO serves: what it cannot take is counted and said. */
function openRecords(store: SqliteStore, { clock, logger: log }: AppOptions): Records {
  const recorder = new Recorder(store, clock, ({ type }) =>
    type === 'degraded'
      ? log.warn('The database refuses rows; requests are served without records.')
      : log.info('The database takes rows again.'),
  );
  const journal = new StoredSignatureJournal(store, clock);
  const signatures = new BoundedSignatureStore(undefined, journal);
  signatures.restore().catch(() => log.warn('Signatures of earlier tool calls could not be read from the database.'));
  return {
    recorder,
    signatures,
    async close() {
      await Promise.all([recorder.close(), journal.close()]);
      await store.close();
    },
  };
}

function poolOf(members: readonly TierMember[], { config, clock }: AppOptions): Pool {
  const pool = new Pool({
    clock,
    breaker: config.current().breaker,
    get queue() {
      return config.current().limits.queue;
    },
    get queueWaitMs() {
      return config.current().limits.queueWaitMs;
    },
  });
  for (const { backend, concurrency } of members) pool.add(backend, concurrency);
  return pool;
}

/** Numbers are read for each request, so that a reload takes effect. */
function stagesOver(
  pool: BackendPool,
  options: AppOptions,
  retries: RetryBudget,
  local: readonly TierMember[],
): Stages {
  const { clock, config } = options;
  const counters = new Map(local.map(({ backend }) => [backend.id, backend]));
  return {
    clock,
    pool,
    retries,
    judge: answerJudge,
    measure: createMeasure({
      limits: () => config.current().routing,
      countTokens: async (id, request, signal) => await counters.get(id)?.countTokens?.(request, signal),
    }),
    decide: (features, fleet) => decide(features, fleet, defaultPolicies),
    get gate() {
      return config.current().gate;
    },
    get budgets() {
      return config.current().budgets;
    },
    get limits() {
      return config.current().limits;
    },
  };
}

async function explain(request: ChatRequest, signal: AbortSignal, stages: Stages): Promise<RouteExplanation> {
  const fleet = stages.pool.view();
  const features = await stages.measure(request, fleet, signal);
  const explained = explainRoute(features, fleet, stages.decide(features, fleet));
  const candidates = explained.attempts.flatMap((attempt) => attempt.candidates);
  return {
    ...explained,
    reasons: explained.reasons.map(({ code }) => code),
    attempts: explained.attempts.map(({ candidates: [first], ...attempt }) => ({
      ...attempt,
      ...(first === undefined ? {} : { backend: first.backend }),
      ...(first?.model === undefined ? {} : { model: first.model }),
    })),
    threshold: features.limits.confidenceThreshold,
    skipped: candidates.flatMap(({ backend, skipped }) => (skipped === undefined ? [] : [{ backend, why: skipped }])),
  };
}

/** Backends learn their models as they come up, not from one request to the next. */
function modelLister(members: readonly TierMember[], clock: Clock): () => readonly ListedModel[] {
  let listed: readonly ListedModel[] = [];
  let untilMs = -Infinity;
  return () => {
    if (clock.nowMs() >= untilMs) {
      listed = listModels(members);
      untilMs = clock.nowMs() + relistMs;
    }
    return listed;
  };
}

const relistMs = 500;

/** A delay of the event loop that users would notice; health says so. */
const stallMs = 250;

function listModels(members: readonly TierMember[]): readonly ListedModel[] {
  const listed = new Map<string, ListedModel>();
  for (const { backend } of members) {
    for (const id of backend.models)
      if (!listed.has(id)) listed.set(id, { id, ownedBy: backend.id, tier: backend.tier });
  }
  return [
    { id: 'lfo-auto', ownedBy: 'lfo', aliasOf: 'auto' },
    { id: 'lfo-local', ownedBy: 'lfo', aliasOf: 'local' },
    { id: 'lfo-cloud', ownedBy: 'lfo', aliasOf: 'cloud' },
    ...listed.values(),
  ];
}

function readinessOf(fleet: FleetView): Readiness {
  const ready = fleet.backends.some(({ status }) => status.state === 'ready');
  const waiting = fleet.backends.filter(({ status }) => status.state !== 'ready');
  const reasons = waiting.map(({ id, status }) => `${id}: ${status.detail ?? status.state}`);
  return { ready, reasons: fleet.backends.length === 0 ? ['No backend is configured.'] : reasons };
}

function keyOf({ hints }: ChatRequest): { readonly clientKey?: string } {
  return hints.clientKey === undefined ? {} : { clientKey: hints.clientKey };
}

/** Resolves when nothing runs any more or the time is over. */
async function drained(running: ReadonlySet<unknown>, graceMs: number, clock: Clock): Promise<void> {
  const never = new AbortController().signal;
  const until = clock.nowMs() + graceMs;
  while (running.size > 0 && clock.nowMs() < until) await sleep(clock, drainLookMs, never);
}

const drainLookMs = 20;

/** For error frames to leave, and for requests other than chats. */
const lastWordsMs = 500;

function shuttingDown(): LfoError {
  return new LfoError('LFO is shutting down: try again in a moment.', {
    code: 'shutting_down',
    status: 503,
    retryable: true,
    retryAfterMs: 1000,
  });
}
