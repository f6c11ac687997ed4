import type { Attempt, PoolChoice } from '../core/backend.ts';
import { conversationOf } from '../core/conversation.ts';
import { homeOf } from './affinity.ts';
import { choose } from './balance.ts';
import { type Member, offerAt } from './eligibility.ts';
import type { Placeable } from './placement.ts';

/** Where a JSON schema is asked for, backends that hold an answer to it come before those that are asked in words. */
export function enforcersFirst(
  members: readonly Member[],
  attempt: Attempt,
  { request }: PoolChoice,
): readonly Member[] {
  if (request.responseFormat?.type !== 'json_schema') return members;
  const enforces = (member: Member): boolean => enforcesSchema(member, attempt, request);
  return members.toSorted((one, other) => Number(enforces(other)) - Number(enforces(one)));
}

/** Whether an attempt may be made at the member at all. */
export function isMeant({ backend }: Member, { tier, embeds, avoid }: Attempt): boolean {
  if (backend.tier !== tier || avoid?.includes(backend.id) === true) return false;
  return embeds === true || backend.chats !== false;
}

/** The one that a rule prefers, where it has a place; else the best, or of several alike the conversation's own. */
export function bestFor(placeable: readonly Placeable[], { prefer }: Attempt): Placeable | undefined {
  const preferred = placeable.find(({ member, isFull }) => member.backend.id === prefer && !isFull);
  if (preferred !== undefined) return preferred;
  const best = bestOf(placeable);
  if (best?.member.backend.affinity !== 'strict') return best;
  return placeable.find(({ member, isFull, isOfSession }) => isOfSession && !isFull && isStrict(member)) ?? best;
}

function isStrict({ backend }: Member): boolean {
  return backend.affinity === 'strict';
}

/** Marks where the conversation belongs among those for which that is computed. */
export function withComputedHome(placeable: readonly Placeable[], { request }: PoolChoice): readonly Placeable[] {
  const alike = placeable.filter(({ member }) => member.backend.affinity !== undefined);
  if (alike.length < 2) return placeable;
  const strict = alike.filter(({ member }) => isStrict(member));
  const candidates = (strict.length > 0 ? strict : alike).map((one) => ({ one, ...loadOf(one.member) }));
  const home = homeOf(candidates, conversationOf(request));
  return placeable.map((one) => (one === home?.one ? { ...one, isOfSession: true } : one));
}

function loadOf({ backend, running }: Member): { readonly id: string; readonly load: number; readonly queued: number } {
  const { active = 0, queued = 0 } = backend.status();
  return { id: backend.id, load: Math.max(running.size, active + queued), queued };
}

/** The one that a rule prefers, then the others as they were. */
export function preferredFirst(members: readonly Member[], { prefer }: Attempt): readonly Member[] {
  if (prefer === undefined) return members;
  return members.toSorted((one, other) => Number(other.backend.id === prefer) - Number(one.backend.id === prefer));
}

/** Those alone, where there are any. */
export function enforcersOf(
  placeable: readonly Placeable[],
  attempt: Attempt,
  { request }: PoolChoice,
): readonly Placeable[] {
  if (request.responseFormat?.type !== 'json_schema') return placeable;
  const able = placeable.filter(({ member }) => enforcesSchema(member, attempt, request));
  return able.length > 0 ? able : placeable;
}

function enforcesSchema({ backend }: Member, attempt: Attempt, request: PoolChoice['request']): boolean {
  return offerAt(backend, attempt, request).capabilities.jsonSchema;
}

/** The best of those that are left. One that is full counts only where its speed is known. */
function bestOf(left: readonly Placeable[]): Placeable | undefined {
  const best = choose(left);
  if (best === undefined || !best.isFull || best.isMeasured) return best;
  return choose(left.filter(({ isFull }) => !isFull)) ?? best;
}
