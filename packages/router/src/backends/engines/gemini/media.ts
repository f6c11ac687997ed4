import { RequestError } from '../../../core/errors.ts';
import type { ContentPart } from '../../../core/request.ts';
import type { Part } from './wire.ts';

type Media = Exclude<ContentPart, { type: 'text' }>;

/**
 * An image, a recording or a file as inline data.
 * @throws RequestError naming `param` for what is no base64 data, has no known type or is still a web address
 */
export function inlinePart(part: Media, param: string): Part {
  switch (part.type) {
    case 'image':
      return inline(readDataUrl(part.url, 'image/', `${param}.image_url.url`));
    case 'audio':
      return inline({ mimeType: audioType(part.format), data: base64(part.data, `${param}.input_audio.data`) });
    default:
      return inline(readFile(part.data, part.filename, `${param}.file.file_data`));
  }
}

interface Blob {
  readonly mimeType: string;
  readonly data: string;
}

function inline(blob: Blob): Part {
  return { inlineData: blob };
}

/** `data:[type][;parameter…][;base64],…` (RFC 2397); a missing or foreign type is read off the first bytes. */
function readDataUrl(url: string, prefix: string, param: string): Blob {
  const comma = url.indexOf(',');
  if (!/^data:/i.test(url) || comma === -1) {
    throw new RequestError('Only data: URLs are taken here; send the content inline as base64.', { param });
  }
  const [type = '', ...parameters] = url
    .slice('data:'.length, comma)
    .split(';')
    .map((piece) => piece.trim().toLowerCase());
  const payload = url.slice(comma + 1);
  const data = parameters.includes('base64') ? base64(payload, param) : percentDecoded(payload, param);
  const mimeType = type.startsWith(prefix) && /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : sniff(data);
  if (mimeType?.startsWith(prefix) !== true) {
    throw new RequestError('The data has no type that is taken here; name it in the data: URL.', { param });
  }
  return { mimeType: mimeType === 'image/jpg' ? 'image/jpeg' : mimeType, data };
}

function readFile(data: string, filename: string | undefined, param: string): Blob {
  if (/^data:/i.test(data)) return readDataUrl(data, '', param);
  const content = base64(data, param);
  const extension = /\.([a-z0-9]+)$/i.exec(filename ?? '')?.[1]?.toLowerCase() ?? '';
  const mimeType = sniff(content) ?? fileTypes.get(extension);
  if (mimeType !== undefined) return { mimeType, data: content };
  throw new RequestError('The type of the file is not known; send it as a data: URL with a type.', { param });
}

/** Takes the URL alphabet and line breaks as well, sends the standard alphabet. */
function base64(text: string, param: string): string {
  const data = text.replaceAll(/\s/g, '').replaceAll('-', '+').replaceAll('_', '/');
  if (data !== '' && /^[A-Za-z0-9+/]+={0,2}$/.test(data)) return data;
  throw new RequestError('The data is empty or not base64.', { param });
}

function percentDecoded(text: string, param: string): string {
  try {
    return base64(Buffer.from(decodeURIComponent(text), 'utf8').toString('base64'), param);
  } catch (cause) {
    throw new RequestError('The data: URL is empty or not percent-encoded; send base64.', { param, cause });
  }
}

/** First bytes as they look in base64. */
const signatures: readonly (readonly [start: string, mimeType: string])[] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['JVBERi', 'application/pdf'],
];

function sniff(data: string): string | undefined {
  if (data.startsWith('UklGR') && Buffer.from(data.slice(0, 16), 'base64').toString('latin1', 8, 12) === 'WEBP')
    return 'image/webp';
  if (/^AAAA..?.?ZnR5cGhla|^AAAA....ZnR5cG(hlaW|1pZj)/.test(data)) return 'image/heic';
  return signatures.find(([start]) => data.startsWith(start))?.[1];
}

const fileTypes: ReadonlyMap<string, string> = new Map([
  ['pdf', 'application/pdf'],
  ['txt', 'text/plain'],
  ['md', 'text/markdown'],
  ['csv', 'text/csv'],
  ['html', 'text/html'],
  ['json', 'application/json'],
  ['mp4', 'video/mp4'],
  ['mp3', 'audio/mp3'],
  ['wav', 'audio/wav'],
]);

/** OpenAI names codecs, Gemini media types; `pcm16` has no header, so its rate must be told. */
function audioType(format: string): string {
  const name = format
    .trim()
    .toLowerCase()
    .replace(/^audio\//, '');
  if (name === 'pcm16') return 'audio/L16;rate=24000';
  return `audio/${/^[a-z0-9.+-]{1,20}$/.test(name) ? name : 'wav'}`;
}
