/** The parts one after the other. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The same bytes. Takes longer the more agree: compare no secrets by it. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** Text of ASCII as bytes; used for the constants of the wire. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

const base64urlAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Base64url without padding (RFC 4648 §5). */
export function base64url(bytes: Uint8Array): string {
  return packBits(bytes, 6, base64urlAlphabet);
}

/** Reads base64url without padding; `undefined` where a character is foreign or a bit left over is not zero. */
export function fromBase64url(text: string): Uint8Array | undefined {
  return unpackBits(text, 6, base64urlAlphabet);
}

/** Writes bytes as characters of `bits` bits each, highest first; the last is filled with zeros. */
export function packBits(bytes: Uint8Array, bits: number, alphabet: string): string {
  let text = '';
  let held = 0;
  let heldBits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    heldBits += 8;
    while (heldBits >= bits) {
      heldBits -= bits;
      text += alphabet.charAt((held >> heldBits) & ((1 << bits) - 1));
    }
    held &= (1 << heldBits) - 1;
  }
  return heldBits === 0 ? text : text + alphabet.charAt((held << (bits - heldBits)) & ((1 << bits) - 1));
}

/** Undoes `packBits`; `undefined` where it could not have written the text. */
export function unpackBits(text: string, bits: number, alphabet: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * bits) / 8));
  let at = 0;
  let held = 0;
  let heldBits = 0;
  for (const character of text) {
    const value = alphabet.indexOf(character);
    if (value < 0) return undefined;
    held = (held << bits) | value;
    heldBits += bits;
    if (heldBits < 8) continue;
    heldBits -= 8;
    bytes[at++] = held >> heldBits;
    held &= (1 << heldBits) - 1;
  }
  return heldBits < bits && held === 0 ? bytes : undefined;
}
