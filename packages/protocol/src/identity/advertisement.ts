/** The service that routers announce by DNS-SD on their own network: `_lfo._tcp`. It authenticates nothing. */
export const advertisedType = 'lfo';

/** What a router says of itself there. */
export interface Advertisement {
  /** `rtr-` and its fingerprint. */
  readonly id: string;
  readonly name: string;
  /** A code of it is good now. */
  readonly isPairing: boolean;
}

/** The TXT record of an announcement; a name is cut to what one entry may hold. */
export function advertisementText({ id, name, isPairing }: Advertisement): Record<string, string> {
  return { v: '1', id, n: firstCharacters(name, mostNameCharacters), ...(isPairing ? { pair: '1' } : {}) };
}

/** Reads a TXT record; `undefined` where it is none of this version. Unknown keys are ignored. */
export function readAdvertisement(text: Readonly<Record<string, unknown>>): Advertisement | undefined {
  const [version, id, name = ''] = [textOf(text['v']), textOf(text['id']), textOf(text['n'])];
  if (version !== '1' || id === undefined || !/^rtr-[0-9a-z]{16}$/.test(id)) return undefined;
  const shown = firstCharacters(name.replace(/[\p{Cc}\p{Cf}]/gu, ''), mostNameCharacters);
  return { id, name: shown, isPairing: textOf(text['pair']) === '1' };
}

const mostNameCharacters = 50;

function firstCharacters(text: string, most: number): string {
  return Array.from(text).slice(0, most).join('');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
