import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { LfoError } from '../core/errors.ts';
import { acceptedEncoding } from './compression.ts';
import type { AdminDeps } from './deps.ts';
import type { StaticFile } from './static-files.ts';

const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** On whatever the dashboard answers. */
export const securityHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
} as const;

const aYearS = 31_536_000;

/** The pages: one document for every view, which sends whoever has no session to the form. */
export function addPages(app: FastifyInstance, { files, verifyKey }: AdminDeps): void {
  app.get('/dashboard', (_request, reply) => reply.redirect('/dashboard/now', 303));
  app.get('/dashboard/login', async (request, reply) => {
    if (verifyKey(undefined) !== undefined) return reply.redirect('/dashboard/now', 303);
    return await sendFile(request, reply, 'index.html', 'no-cache');
  });
  app.get<{ Params: { '*': string } }>('/dashboard/*', async (request, reply) => {
    if (!request.identity.scopes.includes('admin')) return reply.redirect('/dashboard/login', 303);
    return await sendFile(request, reply, 'index.html', 'no-cache');
  });
  app.get<{ Params: { file: string } }>('/dashboard/assets/:file', (request, reply) =>
    sendFile(request, reply, request.params.file, `public, max-age=${aYearS}, immutable`),
  );

  async function sendFile(request: FastifyRequest, reply: FastifyReply, name: string, caching: string) {
    const file = files.get(name);
    if (file === undefined) throw new LfoError('There is no such file.', { code: 'not_found', status: 404 });
    void reply.headers({ 'content-type': file.type, 'cache-control': caching, vary: 'accept-encoding' });
    return reply.send(await encoded(request, reply, name, file));
  }

  async function encoded(request: FastifyRequest, reply: FastifyReply, name: string, file: StaticFile) {
    const encoding = acceptedEncoding(request.headers['accept-encoding']);
    if (encoding === undefined) return file.bytes;
    void reply.header('content-encoding', encoding);
    return await files.compressed(name, file, encoding);
  }
}
