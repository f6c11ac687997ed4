import { LfoError } from '../core/errors.ts';
import type { KeyIdentity, Scope } from '../core/identity.ts';

/** @throws LfoError 403 where the key is not for this route */
export function checkScope({ scopes }: KeyIdentity, route: string | undefined): void {
  const needed = scopeOf(route);
  if (needed === undefined || scopes.includes(needed)) return;
  throw new LfoError(`This key lacks the scope "${needed}": use one that has it.`, {
    code: 'scope_missing',
    status: 403,
  });
}

/** The dashboard and feedback ask for themselves: pages may be open, and operators judge answers too. */
function scopeOf(route: string | undefined): Scope | undefined {
  if (route === '/metrics') return 'admin';
  return route?.startsWith('/v1/') === true && route !== '/v1/feedback' ? 'chat' : undefined;
}
