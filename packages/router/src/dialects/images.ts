import { RequestError } from '../core/errors.ts';

/** First base64 characters of the image formats models take. */
const signatures: readonly (readonly [prefix: string, type: string])[] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
];
const dataUrl = /^data:([^,;]*)((?:;[^,;]*)*),/i;
const imageType = /^image\/[a-z0-9.+-]+$/i;
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * A `data:` URL of an image, its type sniffed where the client left it out; other URLs only where the operator allows
 * fetching them.
 * @throws RequestError naming `param`; the URL itself is never quoted
 */
export function readImageUrl(url: string, param: string, fetchAllowed: boolean): string {
  if (/^https?:\/\//i.test(url)) {
    if (fetchAllowed && URL.canParse(url)) return url;
    throw bad(param, 'images are not fetched from addresses here; send the image itself as a data: URL');
  }
  const head = dataUrl.exec(url);
  if (head === null) {
    // The document also allows the bare base64 text.
    const sniffed = sniff(url);
    if (sniffed !== undefined && base64.test(url)) return `data:${sniffed};base64,${url}`;
    throw bad(param, 'must be a data: URL of an image');
  }
  const data = url.slice(head[0].length);
  if (!/;base64$/i.test(head[2] ?? '') || !base64.test(data) || data === '') {
    throw bad(param, 'the data: URL must be base64 and not empty');
  }
  const declared = head[1] ?? '';
  const type = declared === '' ? sniff(data) : declared.toLowerCase();
  if (type === undefined || !imageType.test(type)) throw bad(param, 'the data: URL must hold an image');
  return `data:${type};base64,${data}`;
}

function sniff(data: string): string | undefined {
  return signatures.find(([prefix]) => data.startsWith(prefix))?.[1];
}

function bad(param: string, why: string): RequestError {
  return new RequestError(`${param}: ${why}.`, { code: 'invalid_image_url', param });
}
