import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { JsonObject, JsonValue } from '@lfo/router/src/core/json.ts';
import { isJsonObject, parseJson } from '@lfo/router/src/core/json.ts';

/** One request of an agent, words of its vendor replaced. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  /** Those that say something to a router; no keys. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: JsonValue;
}

/** What an agent of one version sent while it answered one prompt and ran one tool. */
export interface Recording {
  readonly agent: string;
  readonly version: string;
  readonly requests: readonly RecordedRequest[];
}

export interface Recorder {
  readonly base: string;
  /** Requests since the last time they were taken. */
  take(): readonly RecordedRequest[];
  close(): Promise<void>;
}

/** A relay in front of a router that notes what goes through it. */
export async function startRecorder(router: string): Promise<Recorder> {
  let requests: RecordedRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => {
      const bytes = Buffer.concat(parts);
      const { method = 'GET', url = '/', headers } = incoming;
      const body = bytes.length === 0 ? undefined : parseJson(bytes.toString());
      requests.push({
        method,
        path: url,
        headers: told(headers),
        ...(body !== undefined && { body: withoutProse(body) }),
      });
      const onward = httpRequest(new URL(url, router), { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      outgoing.on('close', () => onward.destroy());
      onward.end(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    base: `http://127.0.0.1:${port}`,
    take() {
      const taken = requests;
      requests = [];
      return taken;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Headers that steer, or tell one client from another. */
const toldHeaders = [
  'anthropic-version',
  'anthropic-beta',
  'content-type',
  'user-agent',
  'x-goog-api-client',
  'x-session-affinity',
  'x-stainless-timeout',
];

function told(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(
    toldHeaders.flatMap((name) => {
      const value = headers[name];
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}

/** Texts up to this long are names, marks and paths; longer ones are somebody's prose. */
const longestKept = 100;

/**
 * The same body with long texts replaced by as many other characters: what a router must cope with is their form, and the
 * words belong to the agent's vendor. The same text always becomes the same one, so that turns still share their beginning.
 */
export function withoutProse(value: JsonValue): JsonValue {
  if (typeof value === 'string') return isProse(value) ? value.split('\n').map(blurred).join('\n') : value;
  if (Array.isArray(value)) return value.map(withoutProse);
  if (!isJsonObject(value)) return value;
  const blurredValue: Record<string, JsonValue> = {};
  for (const [key, member] of Object.entries(value)) if (member !== undefined) blurredValue[key] = withoutProse(member);
  return blurredValue satisfies JsonObject;
}

function isProse(text: string): boolean {
  // JSON of arguments, and what a router looks for.
  return text.length > longestKept && parseJson(text) === undefined;
}

const marks = /^(?:x-anthropic-billing-header:.*|<\/?[\w-]+>|<total_tokens>.*)$/;

function blurred(line: string): string {
  if (marks.test(line) || line.length < 20) return line;
  let seed = 0;
  for (let i = 0; i < line.length; i++) seed = (Math.imul(seed, 31) + line.charCodeAt(i)) >>> 0;
  return line.replace(/\p{L}+/gu, (word) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return syllables.slice(seed % 40, (seed % 40) + word.length).padEnd(word.length, 'a');
  });
}

const syllables = 'loremipsumdolorsitametconsecteturadipiscingelitseddoeiusmodtemporincididunt';
