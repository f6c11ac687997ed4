import type { FastifyReply } from 'fastify';

/** Sets headers that chat answers carry too, which bypass Fastify's. */
export function setRaw({ raw }: Pick<FastifyReply, 'raw'>, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) raw.setHeader(name, value);
}
