// The same in Node, Hermes and browsers, whose own type libraries this package must not depend on.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (
  label: 'utf-8',
  options: { fatal: boolean; ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

/** Text to UTF-8 and back. */
export interface TextCodec {
  encode(text: string): Uint8Array;
  /** @throws TypeError on bytes that are not UTF-8: replacing them would hide a broken peer. */
  decode(bytes: Uint8Array): string;
}

/** The platform's own UTF-8 codec. */
export function textCodec(): TextCodec {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return { encode: (text) => encoder.encode(text), decode: (bytes) => decoder.decode(bytes) };
}
