import { asciiBytes, base64url, fromBase64url, packBits, unpackBits } from '../bytes.ts';
import { keyBytes, type Primitives } from '../noise/primitives.ts';

/** Crockford's base32: no I, L, O or U. */
const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const fingerprintBytes = 10;
/** Bytes of a pairing secret; 26 characters as a code. */
export const pairingSecretBytes = 16;
const codeCharacters = 26;

/** Sixteen characters that stand for a public key, in fours: both screens show it. */
export function fingerprint(primitives: Pick<Primitives, 'sha256'>, publicKey: Uint8Array): string {
  return inFours(packBits(primitives.sha256(publicKey).subarray(0, fingerprintBytes), 5, crockford));
}

/** `dev-` and the fingerprint: the key is the identity. */
export function deviceId(primitives: Pick<Primitives, 'sha256'>, publicKey: Uint8Array): string {
  return `dev-${fingerprint(primitives, publicKey).replaceAll('-', '').toLowerCase()}`;
}

/** `rtr-` and the fingerprint. */
export function routerId(primitives: Pick<Primitives, 'sha256'>, publicKey: Uint8Array): string {
  return `rtr-${fingerprint(primitives, publicKey).replaceAll('-', '').toLowerCase()}`;
}

/** A key of either kind as text: 43 characters. */
export function keyText(key: Uint8Array): string {
  return base64url(key);
}

/** Reads a key; `undefined` where it is none. White space around it, as in a file, does not matter. */
export function readKeyText(text: string): Uint8Array | undefined {
  const key = fromBase64url(text.trim());
  return key?.length === keyBytes ? key : undefined;
}

/** A pairing secret as it is typed: 26 characters in fours. */
export function pairingCode(secret: Uint8Array): string {
  return inFours(packBits(secret, 5, crockford));
}

/** Reads a typed code: lower case, spaces, hyphens, and O, I and L for 0 and 1 are taken. `undefined`: no code. */
export function readPairingCode(typed: string): Uint8Array | undefined {
  const code = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return code.length === codeCharacters ? unpackBits(code, 5, crockford) : undefined;
}

/** The key both sides make of a pairing secret (HKDF-SHA-256, RFC 5869). */
export function pairingKey(primitives: Pick<Primitives, 'hmacSha256'>, secret: Uint8Array): Uint8Array {
  const extracted = primitives.hmacSha256(new Uint8Array(keyBytes), secret);
  return primitives.hmacSha256(extracted, asciiBytes('lfo/1 psk'), Uint8Array.of(1));
}

function inFours(text: string): string {
  return (text.match(/.{1,4}/g) ?? []).join('-');
}
