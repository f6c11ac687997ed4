import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { KeyIdentity, VerifyKey } from '../core/identity.ts';
import { parseJson } from '../core/json.ts';
import { originalAnswer, readOriginal } from './original-wire.ts';

/** Whoever speaks the original's wire from this machine: no key, and the local tier alone. */
const identity: KeyIdentity = { id: 'original', scopes: ['chat'], tiers: ['local'] };

/** Answers lines of the original's wire by the router's own chat route, under a key that leaves the process never. */
export function originalClient(verifyKey: VerifyKey, clock: Clock) {
  const key = randomToken(32);
  const isOwn = (presented: string): boolean =>
    presented.length === key.length && timingSafeEqual(Buffer.from(presented), Buffer.from(key));
  return {
    verifyKey: ((presented) =>
      presented !== undefined && isOwn(presented) ? identity : verifyKey(presented)) satisfies VerifyKey,
    async answer(server: FastifyInstance, line: string): Promise<string> {
      const read = readOriginal(line);
      if ('error' in read) return JSON.stringify(read);
      const startedMs = clock.nowMs();
      const { body } = await server.inject({
        method: 'POST',
        url: '/v1/chat/completions',
        headers: { host: 'localhost', authorization: `Bearer ${key}`, 'x-lfo-mode': 'local' },
        payload: read.body,
      });
      return JSON.stringify(originalAnswer(parseJson(body), clock.nowMs() - startedMs));
    },
  };
}
