import { fnv1a } from '../core/fnv1a.ts';

/** One of several that a conversation may be given to. */
export interface AffinityCandidate {
  readonly id: string;
  /** Requests at it, of whomever. */
  readonly load: number;
  /** Of these, those that wait there. */
  readonly queued: number;
}

/** So much more than the others have may one have and still be given what belongs to it. */
const loadBound = 1.25;
/** Fewer than these at once are no load. */
const quietLoad = 8;

/**
 * Where a conversation belongs: rendezvous hashing, so that all routers agree without talking and one that comes or goes
 * moves its own conversations alone. Whoever has far more than the others is passed over, and whoever has a queue while
 * others have none; where all are, the first stays. At least one candidate.
 */
export function homeOf<Candidate extends AffinityCandidate>(
  candidates: readonly Candidate[],
  conversation: string,
): Candidate | undefined {
  const hash = mixed(fnv1a(conversation));
  const ranked = candidates.toSorted((one, other) => scoreOf(hash, other.id) - scoreOf(hash, one.id));
  const total = candidates.reduce((sum, { load }) => sum + load, 0);
  const bound = Math.max(quietLoad, (loadBound * total) / candidates.length);
  const canAvoidQueue = candidates.some(({ queued }) => queued === 0);
  return ranked.find(({ load, queued }) => load <= bound && !(canAvoidQueue && queued > 0)) ?? ranked[0];
}

function scoreOf(conversation: number, id: string): number {
  return mixed(conversation ^ mixed(fnv1a(id)));
}

/** The finaliser of MurmurHash3: every bit depends on all. */
function mixed(bits: number): number {
  let hash = bits;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
