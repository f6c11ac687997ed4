import type { FastifyRequest } from 'fastify';
import type { FleetView } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { Readiness } from '../core/exchange.ts';
import type { ThresholdView } from '../core/goals.ts';
import type { RequestHistory } from '../records/history.ts';
import type { VerifyKey } from '../core/identity.ts';
import type { LabelSink } from '../core/judgement.ts';
import type { JsonValue } from '../core/json.ts';
import type { RowsOfOthers } from './rows-of-others.ts';
import type { LiveFeed } from '../telemetry/live-feed.ts';
import type { Devices } from '../fleet/devices.ts';
import type { KeyStore } from '../keys/key-store.ts';
import type { RouterPeers } from '../records/open-peers.ts';
import type { Sessions } from './sessions.ts';
import type { StaticFiles } from './static-files.ts';
import type { SettingsBody } from './wire.ts';

/** What the dashboard and its interface need of the rest. */
export interface AdminDeps {
  readonly clock: Clock;
  readonly history: RequestHistory;
  readonly live: LiveFeed;
  readonly rowsOfOthers: Pick<RowsOfOthers, 'watch'>;
  /** Takes what verdicts say of local answers. */
  readonly labels: LabelSink;
  readonly fleet: () => FleetView;
  readonly readiness: () => Readiness;
  readonly problem: () => { readonly what: string; readonly fix: string } | undefined;
  /** Rows that wait for the database, and those it lost. */
  readonly records: () => RecordsStatus;
  readonly verifyKey: VerifyKey;
  /** What the operator called a key that was given out here. */
  readonly keyName: (id: string) => string | undefined;
  readonly sessions: Sessions;
  /** Counts wrong keys at the login form by address; milliseconds to wait once there were too many. */
  readonly failedLogins: { fail(address: string): number | undefined };
  /** The parsed JSON body. @throws LfoError where none came */
  readonly readBody: (request: FastifyRequest) => JsonValue;
  readonly files: StaticFiles;
  readonly devices: Devices;
  /** The keys in the database. */
  readonly keys: KeyStore;
  /** Whether the configuration itself has a key, with which its owner always comes in. */
  readonly isKeyConfigured: boolean;
  /** What is in force. */
  readonly inForce: () => SettingsBody;
  /** Settings that may be changed while LFO runs. */
  readonly settings: AdminSettings;
  /** What the threshold is now, and why. */
  readonly threshold: () => ThresholdView;
  /** The routers on this database. */
  readonly peers: Pick<RouterPeers, 'list' | 'id' | 'name' | 'count' | 'follow'>;
  /** Lets a backend finish what it has and gives it nothing new, or takes that back; answers whether there is such a one. */
  readonly setDraining: (id: string, isDraining: boolean) => boolean;
}

/** What the admin routes need of the settings that may be changed while LFO runs. */
export interface AdminSettings {
  list(): readonly object[];
  /** @throws LfoError where it cannot be changed, or not so */
  set(setting: string, value: JsonValue, clientKey: string): Promise<object>;
  unset(setting: string): Promise<object>;
}

export interface RecordsStatus {
  readonly pending: number;
  readonly written: number;
  readonly dropped: number;
  readonly degraded: boolean;
}
