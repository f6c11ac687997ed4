import type { FastifyInstance } from 'fastify';

import { isLoopback } from '../config/addresses.ts';
import type { ServerConfig } from '../config/config.ts';
import type { Logger } from '../core/logger.ts';
import type { FurtherPort } from '../server/listen.ts';

import { createDashboard, type Dashboard } from '../admin/dashboard.ts';
import { keyStoreOver } from '../keys/key-store.ts';
import type { FleetView } from '../core/backend.ts';
import type { LocalLoad } from '../core/local-load.ts';
import type { OverriddenConfig } from '../config/overridden.ts';
import type { Devices } from '../fleet/devices.ts';
import type { Chats } from '../pipeline/serve-chat.ts';
import type { RouterPeers } from '../records/open-peers.ts';
import type { Records } from '../records/open-records.ts';
import type { Refusal } from '../records/request-record.ts';
import { admissionError } from '../server/admission.ts';
import type { RefusedRequest } from '../server/server.ts';
import type { LoopDelay } from '../telemetry/loop-delay.ts';
import type { Fleet } from './fleet.ts';
import { devicePackageReader } from './device-package.ts';
import { modelLister } from './model-list.ts';
import type { Operations } from './operations.ts';
import { originalClient } from './original-client.ts';
import { problemOf } from './problem.ts';
import { readinessOf } from './readiness.ts';
import { createHttp } from './routes.ts';
import type { AppOptions, HostProcess } from './running-app.ts';
import type { Shutdown } from './shutdown.ts';
import { settingsBody } from './settings.ts';
import { spentBy } from './spent.ts';
import { explain } from './stages.ts';
import { unknownBuild } from './state.ts';
import type { Steered } from './steering.ts';

/** What the HTTP server shows and calls. */
export interface HttpParts {
  readonly peers: RouterPeers;
  readonly host: HostProcess;
  readonly devices: Devices;
  readonly fleet: Fleet;
  readonly records: Records;
  readonly operations: Operations;
  readonly steered: Steered;
  readonly dashboard: Dashboard;
  readonly chats: Chats;
  readonly loop: LoopDelay;
  readonly shutdown: Shutdown;
}

/** A delay of the event loop that users would notice; health says so. */
const stallMs = 250;

/** The dashboard over the parts it shows. */
export function openDashboard(
  { clock, logger: log, config }: AppOptions & { readonly config: OverriddenConfig },
  {
    devices,
    fleet,
    records,
    operations,
    steered,
    peers,
    host: { build = unknownBuild },
  }: Pick<HttpParts, 'host' | 'devices' | 'fleet' | 'records' | 'operations' | 'steered' | 'peers'>,
): Dashboard {
  const { keys } = operations;
  return createDashboard({
    clock,
    store: records.store,
    labels: records.labels,
    settings: steered.settings,
    threshold: () => steered.steering.view(),
    verifyKey: keys.verifyKey,
    refs: keys.refs,
    peers,
    devices,
    fleet: () => fleet.view(),
    readiness: () => readinessOf(fleet.view()),
    problem: () => problemOf(fleet.view()),
    records: () => records.status(),
    keys: keyStoreOver(records.store, config.current().dataDir),
    isKeyConfigured: config.current().server.authToken !== undefined,
    inForce: () => settingsBody(config, { ...build, router: peers.name }),
    keyName: (id) => keys.ring.find(id)?.name,
    setDraining(id, isDraining) {
      const isKnown = fleet.setDraining(id, isDraining);
      if (isKnown) log.info({ backend: id }, isDraining ? 'backend drained' : 'backend resumed');
      return isKnown;
    },
  });
}

/** The server with every route, not yet listening. */
export function openHttp(options: AppOptions, parts: HttpParts): FastifyInstance {
  const { clock, logger: log, config } = options;
  const { host, peers, devices, fleet, operations, steered, dashboard, chats, loop, records, shutdown } = parts;
  const { keys, metrics } = operations;
  const models = modelLister(() => fleet.members, clock);
  fleet.onChange(models.changed);
  const original = config.current().fleet.legacy ? originalClient(keys.verifyKey, clock) : undefined;
  const server = createHttp({
    config: config.current(),
    clock,
    log,
    router: () => peers.name,
    pace: () => config.current().server,
    chat: async (exchange) => spentBy(await chats.serve(exchange), parts.records.charged),
    embed: async (exchange) => spentBy(await chats.embed(exchange), parts.records.charged),
    verifyKey: original === undefined ? keys.verifyKey : original.verifyKey,
    sessionAuth: dashboard.sessionAuth,
    quota: keys.quota,
    devicePackage: {
      isOffered: () => !isLoopback(config.current().server.host) && devices.invitations.pairings.hasOpen,
      read: devicePackageReader({ execPath: host.execPath, env: host.childEnv }),
    },
    metrics() {
      chats.settle();
      return metrics.text();
    },
    onRefusal(refused) {
      metrics.refused(refused.error.code);
      const refusal = refusalOf(refused, clock.wallMs());
      if (refusal !== undefined) records.refused(refusal);
    },
    isHeadCanonical: () => config.current().routing.canonicalHead,
    modelNames: () => config.current().routing.modelNames,
    models: models.list,
    localLoad: () => localLoadOf(fleet.view(), fleet.waiting()),
    explain: async (request, signal) => ({
      ...(await explain(request, signal, fleet.stagesFor(request))),
      steering: steered.viewFor(request),
    }),
    readiness: () => readinessOf(fleet.view()),
    isDraining: () => shutdown.hasBegun,
    isDegraded: () => loop.worstMs >= stallMs,
    admissionError: () =>
      admissionError({
        inside: chats.size,
        waiting: fleet.waiting(),
        concurrency: config.current().limits.concurrency,
        standingDelayMs: loop.standingMs,
      }),
  });
  dashboard.addTo(server);
  if (original !== undefined) devices.serveOriginal((line) => original.answer(server, line));
  return server;
}

/** Where clients of Ollama look, if the operator wants them served there. */
export function ollamaPort({ ollamaPort: port }: ServerConfig, log: Logger): FurtherPort | undefined {
  if (port === undefined) return undefined;
  return {
    port,
    done: (error) =>
      error === undefined
        ? log.info({ port }, 'Clients of Ollama are answered at this port too.')
        : log.warn(
            { port, err: error },
            'The port of server.ollama_port is taken, by Ollama itself if it runs here: end it, or leave the setting out. LFO answers at its own port alone.',
          ),
  };
}

/** Places of those that are ready, as each says or is given. */
function localLoadOf({ backends }: FleetView, waiting: number): LocalLoad {
  const local = backends.filter(({ tier, status }) => tier === 'local' && status.state === 'ready');
  const slots = local.map(({ maxInFlight = mostSlots, status }) => Math.min(maxInFlight, status.slots ?? mostSlots));
  return {
    running: local.reduce((sum, { inFlight }) => sum + inFlight, 0),
    waiting,
    slots: Math.min(
      mostSlots,
      slots.reduce((sum, each) => sum + each, 0),
    ),
  };
}

const mostSlots = 100_000;

/** What of this is kept: what would have been a row had it been answered, and what nobody could read. */
function refusalOf({ id, error, method, path, identity }: RefusedRequest, timeMs: number): Refusal | undefined {
  if (method !== 'POST' && method !== '') return undefined;
  if (path !== undefined && (asides.has(path) || !apiPaths.some((api) => path.startsWith(api)))) return undefined;
  const { status, code, source } = error;
  return {
    id,
    timeMs,
    status,
    code,
    source,
    ...(path === undefined ? {} : { path }),
    // A wrong key must leave no trace of whose it might be.
    ...(identity === undefined || status === 401 ? {} : { clientKey: identity.id }),
  };
}

const apiPaths = ['/v1/', '/v1beta/', '/api/'];
/** These run no model. */
const asides: ReadonlySet<string> = new Set(['/v1/route', '/v1/feedback']);
