import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The ways in which one text may turn up in what a program has written, alignments of base64 included. */
export function encodingsOf(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    // The first and last characters mix with what stands beside.
    return shifted.slice(offset === 0 ? 0 : offset + 1, Math.floor(((offset + bytes.length) * 8) / 6));
  });
  const percent = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const forms = [
    text,
    encodeURIComponent(text),
    percent,
    JSON.stringify(text).slice(1, -1),
    JSON.stringify(JSON.stringify(text).slice(1, -1)).slice(1, -1),
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...base64,
    ...base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_')),
  ];
  return [...new Set(forms)].map((form) => Buffer.from(form)).concat(Buffer.from(text, 'utf16le'));
}

/** Names of the texts that turn up in a haystack, in any encoding. */
export function tracesOf(texts: Readonly<Record<string, string>>, haystack: Uint8Array): readonly string[] {
  const bytes = Buffer.from(haystack);
  return Object.keys(texts).filter((name) => encodingsOf(texts[name] ?? '').some((form) => bytes.includes(form)));
}

/** Every file below a folder, with its bytes. */
export function filesBelow(folder: string): readonly { readonly path: string; readonly bytes: Buffer }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((path) => ({ path, bytes: readFileSync(path) }));
}
