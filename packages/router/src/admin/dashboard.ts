import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { addAdminRoutes } from './admin-routes.ts';
import type { AdminDeps } from './deps.ts';
import { RowsOfOthers } from './rows-of-others.ts';
import { Sessions } from './sessions.ts';
import { readStaticFiles } from './static-files.ts';
import type { SessionAuth } from '../server/session-auth.ts';
import type { Clock } from '../core/clock.ts';
import type { VerifyKey } from '../core/identity.ts';
import { LiveFeed } from '../telemetry/live-feed.ts';
import type { Store } from '../records/tables.ts';
import { receivedBody } from '../server/body-parser.ts';
import type { KeyRefs } from '../keys/verify-key.ts';
import { SessionTable } from '../records/session-table.ts';
import { FailedAuthLimiter } from '../keys/failed-auth.ts';
import { StoredHistory } from '../records/queries/stored-history.ts';

/** What the dashboard needs of the router around it. */
export interface DashboardOptions extends Pick<
  AdminDeps,
  | 'devices'
  | 'settings'
  | 'threshold'
  | 'labels'
  | 'fleet'
  | 'readiness'
  | 'records'
  | 'keyName'
  | 'problem'
  | 'keys'
  | 'isKeyConfigured'
  | 'inForce'
  | 'setDraining'
  | 'peers'
> {
  readonly clock: Clock;
  readonly store: Store;
  /** The verifier that the server uses too. */
  readonly verifyKey: VerifyKey;
  /** What sessions keep instead of keys. */
  readonly refs: Pick<KeyRefs, 'refOf' | 'identityOf'>;
}

/** The dashboard before its server exists: `live` follows requests, `sessionAuth` belongs to the server's guard. */
export interface Dashboard {
  readonly live: LiveFeed;
  readonly sessionAuth: SessionAuth;
  /** Call before the server listens. */
  addTo(app: FastifyInstance): void;
}

/** Wrong keys a minute from one address at the login form; people mistype, programs guess. */
const failedLoginsPerMinute = 10;
/** Of before the start, for the view of now. */
const rememberedRequests = 25;
const builtFiles = fileURLToPath(new URL('../../dashboard/', import.meta.url));

/** Joins the dashboard to what it shows. */
export function createDashboard(options: DashboardOptions): Dashboard {
  const { clock, store, refs, peers } = options;
  const live = new LiveFeed();
  const sessions = new Sessions(clock, refs, new SessionTable(store));
  peers.follow('sessions', () => void sessions.refresh());
  void sessions.refresh();
  const history = new StoredHistory(store, clock);
  // Without a database there is nothing to remember.
  history.page({}, rememberedRequests).then(
    ({ requests }) => live.remember(requests),
    () => undefined,
  );
  const deps: AdminDeps = {
    ...options,
    live,
    rowsOfOthers: new RowsOfOthers({ store, clock, live, peers }),
    sessions,
    history,
    failedLogins: new FailedAuthLimiter(clock, failedLoginsPerMinute),
    readBody: (request) => receivedBody(request).value,
    files: readStaticFiles(builtFiles),
  };
  return { live, sessionAuth: sessions, addTo: (app) => addAdminRoutes(app, deps) };
}
