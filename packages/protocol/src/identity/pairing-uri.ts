import type { Role } from '../noise/handshake-wire.ts';
import { keyText, pairingCode, readKeyText, readPairingCode } from './identity.ts';

/** What a pairing URI says, as a link or a QR code. */
export interface PairingUri {
  /** Who shows it. */
  readonly role: Role;
  /** One to eight addresses or names, best first. */
  readonly hosts: readonly string[];
  readonly port: number;
  /** Public key of who shows it. */
  readonly key: Uint8Array;
  readonly secret: Uint8Array;
  /** For the screen; may be empty. */
  readonly name: string;
}

const start = 'lfo://pair?';
const version = '1';
/** Most addresses of one URI. */
export const maxPairingHosts = 8;
const maxHostLength = 255;
const maxNameLength = 64;

/** Writes a pairing URI. */
export function pairingUri({ role, hosts, port, key, secret, name }: PairingUri): string {
  const parameters: readonly (readonly [string, string])[] = [
    ['v', version],
    ['r', role],
    ...hosts.map((host) => ['h', host] as const),
    ['p', String(port)],
    ['k', keyText(key)],
    ['s', pairingCode(secret).replaceAll('-', '')],
    ...(name === '' ? [] : [['n', name] as const]),
  ];
  return start + parameters.map(([parameter, value]) => `${parameter}=${escaped(value)}`).join('&');
}

/** Reads a pairing URI; `undefined` where it is none of this version. Unknown parameters are ignored. */
export function readPairingUri(text: string): PairingUri | undefined {
  const uri = text.trim();
  if (uri.slice(0, start.length).toLowerCase() !== start) return undefined;
  const values = readParameters(uri.slice(start.length));
  const only = (parameter: string): string | undefined => {
    const all = values?.get(parameter) ?? [];
    return all.length === 1 ? all[0] : undefined;
  };
  const [role, hosts, port] = [only('r'), values?.get('h') ?? [], Number(only('p')?.match(/^\d{1,5}$/)?.[0] ?? 0)];
  const [key, secret] = [readKeyText(only('k') ?? ''), readPairingCode(only('s') ?? '')];
  if (only('v') !== version || (role !== 'router' && role !== 'device')) return undefined;
  if (hosts.length < 1 || hosts.length > maxPairingHosts || !hosts.every(isHost)) return undefined;
  if (port < 1 || port > 65_535 || key === undefined || secret === undefined) return undefined;
  return {
    role,
    hosts,
    port,
    key,
    secret,
    name: Array.from(only('n') ?? '')
      .slice(0, maxNameLength)
      .join(''),
  };
}

function readParameters(query: string): ReadonlyMap<string, readonly string[]> | undefined {
  const values = new Map<string, string[]>();
  for (const pair of query.split('&')) {
    const [parameter = '', ...rest] = pair.split('=');
    const value = unescaped(rest.join('='));
    if (value === undefined) return undefined;
    values.set(parameter, [...(values.get(parameter) ?? []), value]);
  }
  return values;
}

/** What a host name or an address may consist of: nothing that could leave its place in a URL or a log line. */
function isHost(host: string): boolean {
  return host.length <= maxHostLength && /^[A-Za-z0-9._:%-]+$/.test(host);
}

function escaped(value: string): string {
  return encodeURIComponent(value).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function unescaped(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
