import { createHash } from 'node:crypto';
import type { LfoConfig } from '../config/config.ts';
import type { ConfigHandle } from '../config/handle.ts';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { FleetRouter } from '../core/devices.ts';
import type { Logger } from '../core/logger.ts';
import { Peers, type RouterState, type RouterView, type Topic } from './peers.ts';
import { PostgresListener } from './store/postgres-listener.ts';
import { PostgresStore } from './store/postgres-store.ts';

/** This router among those that share its database. */
export interface RouterPeers {
  /** Of this process; random. */
  readonly id: string;
  /** Settled once `start` has resolved, or where the database was away then, once it is back. */
  readonly name: string;
  /** Living routers, this one included. */
  readonly count: number;
  /** Those included that have gone a moment ago; `undefined`: not known yet. */
  readonly mostOfLate: number | undefined;
  /** Few connections for short questions; absent where there is no database to share. */
  readonly store?: PostgresStore;
  list(): readonly RouterView[];
  /** Calls after each change that this or another router, or a command, made. Never where there is no database to share. */
  follow(topic: Topic, run: () => void): void;
  /** Where devices dial the others. */
  fleets(): readonly FleetRouter[];
  /** Calls when that has changed. */
  onFleets(run: () => void): void;
  start(): Promise<void>;
  /** Says now what this router is about. */
  beat(): Promise<void>;
  close(): Promise<void>;
}

export interface OpenPeersOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** 0..1, uniform; makes up a name where the configuration has none. */
  readonly random: () => number;
  readonly version: string;
  readonly look: () => RouterState;
}

/** Connections for keys, limits and peers together; a question of the dashboard never holds one. */
const connections = 2;
const statementMs = 2_000;

/** @param handle what this router was configured with, without what is changed in the dashboard, which all of them share */
export function openPeers(handle: ConfigHandle, options: OpenPeersOptions): RouterPeers {
  const config = handle.current();
  const { databaseUrl, databaseListenUrl = databaseUrl } = config;
  const digest = digestInForce(handle);
  const migrates = config.databaseMigrate === 'auto';
  const id = randomToken(9);
  const name = config.server.name ?? randomName(options.random);
  if (databaseUrl === undefined || databaseListenUrl === undefined) return alone({ id, name }, digest, options);
  const store = new PostgresStore(databaseUrl, { connections, statementMs, name: `lfo/${name}`, migrates });
  const listener = new PostgresListener(databaseListenUrl, store, options.clock);
  const peers = new Peers({ ...options, id, name, store, listener, config: digest });
  return {
    id,
    store,
    get name() {
      return peers.name;
    },
    get count() {
      return peers.count;
    },
    get mostOfLate() {
      return peers.mostOfLate;
    },
    list: () => peers.list(),
    fleets: () => peers.fleets(),
    onFleets: (run) => peers.onFleets(run),
    follow(topic, run) {
      peers.follow(topic, run);
      peers.onReach(run);
    },
    async start() {
      await peers.start();
      listener.start();
    },
    beat: () => peers.beat(),
    async close() {
      await peers.close();
      await store.close();
    },
  };
}

/** A router whose database is a file of its own. */
function alone(
  { id, name }: Pick<RouterPeers, 'id' | 'name'>,
  config: () => string,
  { clock, version, look }: OpenPeersOptions,
): RouterPeers {
  const startedMs = clock.wallMs();
  return {
    id,
    name,
    count: 1,
    mostOfLate: 1,
    list: () => [{ id, name, version, config: config(), startedMs, seenMs: clock.wallMs(), ...look() }],
    follow() {},
    fleets: () => [],
    onFleets() {},
    async start() {},
    async beat() {},
    async close() {},
  };
}

/** Of a router that was given none. */
function randomName(random: () => number): string {
  return `r-${Math.floor(random() * 36 ** 6)
    .toString(36)
    .padStart(6, '0')}`;
}

/** Of the configuration in force: a reload may change it. */
function digestInForce(handle: ConfigHandle): () => string {
  let seen = handle.current();
  let digest = digestOf(seen);
  return () => {
    const now = handle.current();
    if (now !== seen) digest = digestOf(now);
    seen = now;
    return digest;
  };
}

/** The same for routers that are configured alike: what each has of its own does not count, nor where it is written. */
function digestOf(config: LfoConfig): string {
  const { server, embedded, fleet, ...others } = config;
  const {
    dataDir: _dataDir,
    file: _file,
    warnings: _warnings,
    origins: _origins,
    references: _references,
    ...rest
  } = others;
  const { name: _name, host: _host, port: _port, ...shared } = server;
  const { modelsDir: _modelsDir, ...model } = embedded;
  const { name: _fleetName, listen: _listen, ...devices } = fleet;
  const text = JSON.stringify({ ...rest, server: shared, embedded: model, fleet: devices });
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
