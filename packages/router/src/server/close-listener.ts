import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, Server } from 'node:net';

import { type Clock, sleep } from '../core/clock.ts';

/** Node's own, given back where the door could not be held shut. */
const usualBacklog = 511;
/**
 * Places of the queue while it is held shut. With one, Linux would answer every handshake by a cookie, which it keeps no
 * list of, or by nothing.
 */
const places = 2;
const longestMs = 2_000;
/** For those who wait to be accepted, and for handshakes to come to their end. */
const betweenMs = 5;

/**
 * Closes the listener when no connection waits to be accepted, and no handshake is under way: the system resets those,
 * and what a balancer has sent on them is lost. Merely to look for a moment without any is not enough, since one may
 * come before the close. So the queue is made two places long, and connections of our own are put there: if they got both,
 * nobody else waits, and nobody can come before the close. Whoever tries meanwhile is refused after it, and goes
 * elsewhere. Those whose first packet came before are on a list of Linux; the door is opened for them again.
 *
 * Where that cannot be done it closes all the same, after two seconds: on systems that connect to themselves later than
 * at once, that is a moment after the last connection.
 */
export async function closeListener(server: Server, clock: Clock): Promise<void> {
  const untilMs = clock.nowMs() + longestMs;
  const own = ownAddress(server);
  if (own === undefined) return close(server);
  while (clock.nowMs() < untilMs) {
    const cookies = cookiesSent();
    await new Promise((resolve) => setImmediate(resolve));
    if (await closesWhileBlocked(server, own, cookies)) return;
    // Node accepts one connection in a turn of its event loop, and our own of the last try are among them.
    await sleep(clock, betweenMs, new AbortController().signal);
  }
  close(server);
}

/** Nothing but the ticks below runs between the first line and the last, so Node accepts nothing meanwhile. */
async function closesWhileBlocked(
  server: Server,
  own: Pick<AddressInfo, 'address' | 'port'>,
  cookies: string | undefined,
): Promise<boolean> {
  const setBacklog = beneath(server, 'listen');
  // One more than is said finds a place.
  if (setBacklog?.(places - 1) !== 0) return false;
  const plugs = Array.from({ length: places }, () => connect({ host: own.address, port: own.port }));
  for (const plug of plugs) plug.on('error', () => undefined);
  try {
    // Node connects in the next tick.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const areIn = plugs.every((plug) => beneath(plug, 'getpeername')?.({}) === 0);
    const isClear = areIn && cookiesSent() === cookies && !isHandshakeUnderWay(own.port);
    if (isClear) close(server);
    else setBacklog(usualBacklog);
    return isClear;
  } finally {
    for (const plug of plugs) plug.destroy();
  }
}

/** How many handshakes Linux has answered without noting them; `undefined` elsewhere. */
function cookiesSent(): string | undefined {
  const [names, values] = (listOf('/proc/net/netstat').match(/^TcpExt: .*$/gm) ?? []).map((line) => line.split(' '));
  return values?.[names?.indexOf('SyncookiesSent') ?? -1];
}

/** Whether Linux lists a connection at this port of which it waits for the last packet of the handshake. */
function isHandshakeUnderWay(port: number): boolean {
  const state = new RegExp(
    String.raw`^ *\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} \S+ 03 `,
    'm',
  );
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((path) => state.test(listOf(path)));
}

/** Empty on other systems. */
function listOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** A call of the system's socket under one of Node's; these are documented nowhere, so each may be absent. */
function beneath(socket: object, name: string): ((argument: unknown) => unknown) | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  const call: unknown = Reflect.get(handle, name);
  return typeof call === 'function' ? (argument): unknown => Reflect.apply(call, handle, [argument]) : undefined;
}

/** Where this process reaches its own listener. */
function ownAddress(server: Server): Pick<AddressInfo, 'address' | 'port'> | undefined {
  const address = server.address();
  if (address === null || typeof address === 'string') return undefined;
  const anywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  return { address: anywhere[address.address] ?? address.address, port: address.port };
}

/** Not HTTP's own way, which closes kept connections too. */
function close(server: Server): void {
  // oxlint-disable-next-line typescript/unbound-method
  const { close: closeNet } = Server.prototype;
  closeNet.call(server);
}
