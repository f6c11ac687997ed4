// The same in Node, Hermes and browsers, whose own type libraries this package must not depend on.
declare const TextEncoder: (new () => { encode(text: string): Uint8Array }) | undefined;
declare const TextDecoder:
  | (new (
      label: 'utf-8',
      options: { fatal: boolean; ignoreBOM: boolean },
    ) => {
      decode(bytes: Uint8Array): string;
    })
  | undefined;

/** Text to UTF-8 and back. */
export interface TextCodec {
  encode(text: string): Uint8Array;
  /** @throws TypeError on bytes that are not UTF-8: replacing them would hide a broken peer. */
  decode(bytes: Uint8Array): string;
}

/** The platform's own UTF-8 codec, or ours: Hermes decodes in its newer versions only. */
export function textCodec(): TextCodec {
  if (typeof TextEncoder === 'undefined' || typeof TextDecoder === 'undefined') return portableTextCodec;
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return { encode: (text) => encoder.encode(text), decode: (bytes) => decoder.decode(bytes) };
}

/** UTF-8 in plain JavaScript (RFC 3629); half a surrogate pair is written as U+FFFD. */
export const portableTextCodec: TextCodec = {
  encode(text) {
    const bytes = new Uint8Array(text.length * 3);
    let at = 0;
    for (const character of text) {
      const code = character.codePointAt(0) ?? 0;
      at = writeCodePoint(bytes, at, code >= 0xd8_00 && code <= 0xdf_ff ? 0xff_fd : code);
    }
    return bytes.slice(0, at);
  },
  decode(bytes) {
    const pieces: string[] = [];
    let units: number[] = [];
    for (let at = 0; at < bytes.length;) {
      const first = bytes[at++] ?? 0;
      const more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
      let code = more <= 0 ? first : first & (0x3f >> more);
      for (let left = more; left > 0; left--) {
        const next = bytes[at++] ?? 0;
        if ((next & 0xc0) !== 0x80) throw new TypeError('The bytes are not UTF-8.');
        code = (code << 6) | (next & 0x3f);
      }
      if (more < 0 || code < (smallest[more] ?? 0) || code > 0x10_ff_ff || (code >= 0xd8_00 && code <= 0xdf_ff))
        throw new TypeError('The bytes are not UTF-8.');
      if (code > 0xff_ff) units.push(0xd7_c0 + (code >> 10), 0xdc_00 | (code & 0x3_ff));
      else units.push(code);
      if (units.length < 4096) continue;
      pieces.push(String.fromCharCode(...units));
      units = [];
    }
    return pieces.join('') + String.fromCharCode(...units);
  },
};

/** Smallest code point that takes as many further bytes: a longer form of a smaller one is refused. */
const smallest = [0, 0x80, 0x8_00, 0x1_00_00];

function writeCodePoint(bytes: Uint8Array, start: number, code: number): number {
  let at = start;
  if (code < 0x80) {
    bytes[at++] = code;
    return at;
  }
  const more = code < 0x8_00 ? 1 : code < 0x1_00_00 ? 2 : 3;
  bytes[at++] = ((0xff_00 >> (more + 1)) & 0xff) | (code >> (6 * more));
  for (let left = more - 1; left >= 0; left--) bytes[at++] = 0x80 | ((code >> (6 * left)) & 0x3f);
  return at;
}
