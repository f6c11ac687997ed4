/** The yardstick: the least a Fastify and undici proxy can do. `node bare-proxy.ts UPSTREAM_ORIGIN` prints its port. */
import fastify from 'fastify';
import { Pool } from 'undici';

const pool = new Pool(process.argv[2] ?? '', { connections: 128 });
const app = fastify({ bodyLimit: 16 * 1024 * 1024 });
app.post('/v1/chat/completions', async (request, reply) => {
  const upstream = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request.body),
  });
  reply.code(upstream.statusCode).header('content-type', String(upstream.headers['content-type']));
  return reply.send(upstream.body);
});
const address = await app.listen({ port: 0, host: '127.0.0.1' });
process.stdout.write(`${address}\n`);
