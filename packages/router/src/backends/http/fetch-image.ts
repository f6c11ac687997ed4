import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { Agent } from 'undici';
import type { Clock } from '../../core/clock.ts';
import { RequestError } from '../../core/errors.ts';
import { abortSignalOf, type Cancellation, childOf, unlessAborted } from '../../core/abort.ts';

/** Where and how long an image may be fetched; the defaults are those of the security checklist. */
export interface ImageFetchOptions {
  readonly clock: Clock;
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
  /** Resolves a host to its addresses; injected by tests. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
  /** Whether an address may be connected to; default: public ones alone. Tests let loopback in. */
  readonly isAllowed?: (address: string) => boolean;
}

/** Fetches images that clients name by URL, for operators who allow it; `close` when done. */
export interface ImageFetch {
  /**
   * The image as a `data:` URL of the type its bytes show.
   * @throws RequestError for an address inside the network, a redirect, a slow or large answer, or no image
   */
  fetch(url: string, signal: Cancellation): Promise<string>;
  close(): Promise<void>;
}

/**
 * Makes a fetcher that cannot be turned against the own network: names are resolved once, every address must be
 * public, and the connection goes to that very address, so that a second answer of the name server changes nothing.
 */
export function createImageFetch(options: ImageFetchOptions): ImageFetch {
  const {
    clock,
    timeoutMs = 5_000,
    maxBytes = 10 * 1024 * 1024,
    resolve = resolveAll,
    isAllowed = publicAddressTest(),
  } = options;
  const agents = new Set<Agent>();
  return {
    async fetch(url, signal) {
      const limited = childOf(signal);
      const cancel = clock.schedule(timeoutMs, () => limited.abort(refused('it took too long')));
      try {
        return await fetchOnce(new URL(url), limited.signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw error instanceof RequestError ? error : refused('it could not be fetched');
      } finally {
        cancel();
        limited.release();
      }
    },
    async close() {
      await Promise.all(Array.from(agents, (agent) => agent.destroy()));
    },
  };

  async function fetchOnce(url: URL, signal: Cancellation): Promise<string> {
    if (!/^https?:$/.test(url.protocol) || url.username !== '') throw refused('its address is not a plain http(s) URL');
    // Name resolution cannot be cancelled.
    const address = await unlessAborted(pinned(url.hostname.replace(/^\[|\]$/g, '')), signal);
    // One agent a fetch: a kept connection would belong to a name that may point elsewhere by then.
    const agent = new Agent({
      allowH2: false,
      connect: {
        lookup: (_, __, done) => done(null, [{ address, family: isIP(address) }]),
        // Said outright: an environment variable of Node could switch the default off.
        rejectUnauthorized: true,
      },
    });
    agents.add(agent);
    try {
      const { statusCode, body } = await agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET',
        headers: { accept: 'image/*' },
        signal: abortSignalOf(signal),
      });
      if (statusCode !== 200) throw refused('its server did not answer with 200; redirects are not followed');
      const bytes = await readAtMost(body, maxBytes);
      const type = imageType(bytes);
      if (type === undefined) throw refused('it is not a PNG, JPEG, GIF or WebP image');
      return `data:${type};base64,${bytes.toString('base64')}`;
    } finally {
      agents.delete(agent);
      await agent.destroy();
    }
  }

  async function pinned(host: string): Promise<string> {
    const addresses = isIP(host) === 0 ? await resolve(host) : [host];
    const [first] = addresses;
    if (first === undefined || !addresses.every(isAllowed)) throw refused('its address is not public');
    return first;
  }
}

async function resolveAll(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

async function readAtMost(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const reads: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of body) {
    size += bytes.length;
    if (size > maxBytes) throw refused('it is too large');
    reads.push(bytes);
  }
  return Buffer.concat(reads);
}

function imageType(bytes: Buffer): string | undefined {
  if (bytes.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))) return 'image/png';
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'image/jpeg';
  const text = bytes.toString('latin1', 0, 12);
  if (/^GIF8[79]a/.test(text)) return 'image/gif';
  return text.startsWith('RIFF') && text.endsWith('WEBP') ? 'image/webp' : undefined;
}

/** Ranges that are not the public internet (IANA special-purpose registries, RFC 6890). */
const specialRanges = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const;

/**
 * Makes the test of whether an IP address is on the public internet. IPv6 is global unicast (2000::/3) without the
 * ranges that embed IPv4 addresses or document; a mapped IPv4 address is never public.
 */
export function publicAddressTest(): (address: string) => boolean {
  const special = new BlockList();
  for (const [network, prefix] of specialRanges) special.addSubnet(network, prefix, 'ipv4');
  const global = new BlockList();
  global.addSubnet('2000::', 3, 'ipv6');
  const embedding = new BlockList();
  for (const [network, prefix] of [
    ['2001::', 23],
    ['2001:db8::', 32],
    ['2002::', 16],
    ['3fff::', 20],
  ] as const) {
    embedding.addSubnet(network, prefix, 'ipv6');
  }
  return (address) => {
    if (isIP(address) === 4) return !special.check(address, 'ipv4');
    return isIP(address) === 6 && global.check(address, 'ipv6') && !embedding.check(address, 'ipv6');
  };
}

function refused(why: string): RequestError {
  return new RequestError(`The image at the given URL cannot be used: ${why}. Send it as a data: URL.`, {
    code: 'invalid_image_url',
  });
}
