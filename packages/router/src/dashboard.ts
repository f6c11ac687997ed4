import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { addAdminRoutes } from './admin/admin-routes.ts';
import type { AdminDeps } from './admin/deps.ts';
import { Sessions } from './admin/sessions.ts';
import { readStaticFiles } from './admin/static-files.ts';
import type { BrowserDoor } from './core/browser-door.ts';
import type { Clock } from './core/clock.ts';
import type { VerifyKey } from './core/identity.ts';
import { LiveFeed } from './core/live-feed.ts';
import type { Store } from './core/store.ts';
import { receivedBody } from './ingress/body-parser.ts';
import { FailedAuthLimiter } from './ingress/failed-auth.ts';
import { StoredHistory } from './records/queries/stored-history.ts';

/** What the dashboard needs of the router around it. */
export interface DashboardOptions extends Pick<
  AdminDeps,
  'fleet' | 'readiness' | 'records' | 'keyName' | 'setDraining'
> {
  readonly clock: Clock;
  readonly store: Store;
  /** The verifier that the server uses too. */
  readonly verifyKey: VerifyKey;
}

/** The dashboard before its server is there: `live` is told of requests, `door` belongs to the server's guard. */
export interface Dashboard {
  readonly live: LiveFeed;
  readonly door: BrowserDoor;
  /** Call before the server listens. */
  addTo(app: FastifyInstance): void;
}

/** Wrong keys a minute from one address at the login form; people mistype, programs guess. */
const failedLoginsPerMinute = 10;
const builtFiles = fileURLToPath(new URL('../dashboard/', import.meta.url));

/** Joins the dashboard to what it shows. */
export function createDashboard(options: DashboardOptions): Dashboard {
  const { clock, store, verifyKey } = options;
  const live = new LiveFeed();
  const sessions = new Sessions(clock, verifyKey);
  const deps: AdminDeps = {
    ...options,
    live,
    sessions,
    history: new StoredHistory(store, clock),
    failedLogins: new FailedAuthLimiter(clock, failedLoginsPerMinute),
    readBody: (request) => receivedBody(request).value,
    files: readStaticFiles(builtFiles),
  };
  return { live, door: sessions, addTo: (app) => addAdminRoutes(app, deps) };
}
