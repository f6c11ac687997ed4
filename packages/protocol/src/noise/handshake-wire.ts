import { asciiBytes, concatBytes, equalBytes } from '../bytes.ts';
import type { PatternName } from './handshake-state.ts';

/** What a side of the link is; either may dial. */
export type Role = 'device' | 'router';

/** Pairing makes two strangers known; `known` proves who they are. */
export type HandshakePurpose = 'pair' | 'known';

interface HandshakeKind {
  readonly letter: string;
  readonly diallerRole: Role;
  readonly purpose: HandshakePurpose;
}

const kinds: readonly HandshakeKind[] = [
  { letter: 'P', diallerRole: 'device', purpose: 'pair' },
  { letter: 'p', diallerRole: 'router', purpose: 'pair' },
  { letter: 'I', diallerRole: 'device', purpose: 'known' },
  { letter: 'i', diallerRole: 'router', purpose: 'known' },
];

export const patternOf: Readonly<Record<HandshakePurpose, PatternName>> = { pair: 'XXpsk0', known: 'IK' };

/** Version, pattern and roles in clear before the first Noise message, and bound into it as the prologue. */
const versionTag = asciiBytes('lfo/1');
const anyVersionTag = asciiBytes('lfo/');
const prologueBytes = versionTag.length + 1;
/** Sizes of the first Noise message. */
const firstMessageBytes: Readonly<Record<HandshakePurpose, number>> = { pair: 48, known: 96 };

/** The prologue of a handshake this side dials. */
export function prologueOf(diallerRole: Role, purpose: HandshakePurpose): Uint8Array {
  const { letter = '' } = kinds.find((kind) => kind.diallerRole === diallerRole && kind.purpose === purpose) ?? {};
  return concatBytes(versionTag, asciiBytes(letter));
}

/** What the first payload of a link asks for; `foreign` is no word of this protocol, such as a port scan. */
export type Opening =
  | {
      readonly kind: 'opening';
      readonly purpose: HandshakePurpose;
      readonly prologue: Uint8Array;
      readonly message: Uint8Array;
    }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'refused'; readonly code: 'unsupported_version' | 'handshake_failed' };

/** Reads the first payload as `ourRole` must take it. */
export function readOpening(payload: Uint8Array, ourRole: Role): Opening {
  const prologue = payload.slice(0, prologueBytes);
  if (!equalBytes(prologue.subarray(0, anyVersionTag.length), anyVersionTag) || prologue.length < prologueBytes)
    return { kind: 'foreign' };
  if (!equalBytes(prologue.subarray(0, versionTag.length), versionTag))
    return { kind: 'refused', code: 'unsupported_version' };
  const letter = String.fromCharCode(prologue[prologueBytes - 1] ?? 0);
  const message = payload.slice(prologueBytes);
  const found = kinds.find((kind) => kind.letter === letter && kind.diallerRole !== ourRole);
  if (found === undefined || message.length !== firstMessageBytes[found.purpose])
    return { kind: 'refused', code: 'handshake_failed' };
  return { kind: 'opening', purpose: found.purpose, prologue, message };
}

/** Why a side that was dialled goes no further. Unauthenticated: a hint to the owner that changes nothing. */
export const refusalCodes = [
  'pairing_refused',
  'unknown_key',
  'unsupported_version',
  'handshake_failed',
  'busy',
] as const;

export type RefusalCode = (typeof refusalCodes)[number];

const refusalTag = asciiBytes('lfo/1!');

/** The clear payload that says why no handshake follows. */
export function refusalPayload(code: RefusalCode): Uint8Array {
  return concatBytes(refusalTag, asciiBytes(code));
}

/** The code of a clear refusal; one of a later version reads as `handshake_failed`. */
export function readRefusal(payload: Uint8Array): RefusalCode | undefined {
  if (!equalBytes(payload.subarray(0, refusalTag.length), refusalTag)) return undefined;
  const text = String.fromCharCode(...payload.subarray(refusalTag.length, refusalTag.length + 64));
  if (!/^[a-z_]{1,40}$/.test(text)) return undefined;
  return refusalCodes.find((code) => code === text) ?? 'handshake_failed';
}
