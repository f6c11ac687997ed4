import { loadOf, type Member, ratesOf } from './eligibility.ts';

/** A difference in predicted work below this share is noise: affinity decides, or whose turn it is. */
const tie = 1.2;

/** Answer length assumed for predictions, in tokens. */
const expectedTokens = 200;

/**
 * Orders members by predicted work, best first: the load each would have, weighed by how long this request takes it
 * where every member's speed is known. Among near ties the preferred member wins, then the one that was idle longest.
 */
export function byPredictedWork(
  members: readonly Member[],
  promptTokens: number,
  preferred: string | undefined,
): Member[] {
  if (members.length < 2) return [...members];
  const rated = members.map((member) => ({ member, ...workAt(member, promptTokens) }));
  const areAllTimed = rated.every(({ requestMs }) => requestMs !== undefined);
  const scored = rated.map(({ member, load, requestMs }) => ({
    member,
    work: areAllTimed && requestMs !== undefined ? load * requestMs : load,
  }));
  const leastWork = Math.min(...scored.map(({ work }) => work));
  const rank = ({ member, work }: { member: Member; work: number }): number => {
    if (work > leastWork * tie) return 2;
    return member.backend.id === preferred ? 0 : 1;
  };
  const sorted = scored.toSorted((a, b) => {
    const byRank = rank(a) - rank(b);
    if (byRank !== 0) return byRank;
    return rank(a) === 2 ? a.work - b.work : a.member.lastPick - b.member.lastPick;
  });
  return sorted.map(({ member }) => member);
}

function workAt(
  member: Member,
  promptTokens: number,
): { readonly load: number; readonly requestMs: number | undefined } {
  const status = member.backend.status();
  const { slots } = status;
  const { prefillRate, decodeRate, fixedMs = 0 } = ratesOf(member, member.backend.models[0] ?? '');
  const load = (loadOf(member, status) + 1) / Math.max(1, slots ?? 1);
  if (prefillRate === undefined || decodeRate === undefined || prefillRate <= 0 || decodeRate <= 0) {
    return { load, requestMs: undefined };
  }
  return { load, requestMs: fixedMs + (promptTokens / prefillRate + expectedTokens / decodeRate) * 1000 };
}
