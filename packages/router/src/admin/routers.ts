import type { FastifyInstance } from 'fastify';
import type { AdminDeps } from './deps.ts';

/** The living routers on this database, for those with the admin scope. */
export function addRouters(app: FastifyInstance, { peers }: Pick<AdminDeps, 'peers'>): void {
  app.get('/admin/routers', () => ({
    routers: peers.list().map((router) => ({
      name: router.name,
      version: router.version,
      state: router.state,
      started: new Date(router.startedMs).toISOString(),
      seen: new Date(router.seenMs).toISOString(),
      in_flight: router.inFlight,
      waiting: router.waiting,
      config: router.config,
      is_this: router.id === peers.id,
    })),
  }));
}
