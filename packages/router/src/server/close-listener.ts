import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, Server } from 'node:net';

import { type Clock, sleep } from '../core/clock.ts';

/** Node's own, given back where the door could not be held shut. */
const usualBacklog = 511;
/** Places of the queue while it is held shut. With fewer, Linux answers handshakes by cookies, which it keeps no list of. */
const places = 4;
const longestMs = 2_000;
/** A handshake takes as long as the way to the other side and back. */
const handshakeMs = 10;

/**
 * Closes the listener when no connection waits to be accepted, and no handshake is under way: the system resets those,
 * and what a balancer has sent on them is lost. Merely to look for a moment without any is not enough, since one may
 * come before the close. So the queue is made a few places long, and connections of our own are put there: if they got
 * all of them, nobody else waits, and nobody can come before the close. Whoever tries meanwhile is refused after it,
 * and goes elsewhere. Those whose first packet came before are told by the system's list, where it keeps one; the door
 * is opened for them again.
 *
 * Where that cannot be done it closes all the same, after two seconds: on systems that connect to themselves later than
 * at once, that is a moment after the last connection.
 */
export async function closeListener(server: Server, clock: Clock): Promise<void> {
  const untilMs = clock.nowMs() + longestMs;
  const own = ownAddress(server);
  if (own === undefined) return close(server);
  while (clock.nowMs() < untilMs) {
    // Node accepts one connection in a turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    const outcome = await closeWhileBlocked(server, own);
    if (outcome === 'closed') return;
    if (outcome === 'handshake') await sleep(clock, handshakeMs, new AbortController().signal);
  }
  close(server);
}

/** Nothing but the ticks below runs between the first line and the last, so Node accepts nothing meanwhile. */
async function closeWhileBlocked(
  server: Server,
  own: Pick<AddressInfo, 'address' | 'port'>,
): Promise<'closed' | 'queue' | 'handshake'> {
  const setBacklog = beneath(server, 'listen');
  // One more than is said finds a place.
  if (setBacklog?.(places - 1) !== 0) return 'queue';
  const plugs = Array.from({ length: places }, () => connect({ host: own.address, port: own.port }));
  for (const plug of plugs) plug.on('error', () => undefined);
  try {
    // Node connects in the next tick.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const areIn = plugs.every((plug) => beneath(plug, 'getpeername')?.({}) === 0);
    const isClear = areIn && !isHandshakeUnderWay(own.port);
    if (isClear) close(server);
    else setBacklog(usualBacklog);
    return isClear ? 'closed' : areIn ? 'handshake' : 'queue';
  } finally {
    for (const plug of plugs) plug.destroy();
  }
}

/** Whether Linux lists a connection at this port of which it waits for the last packet of the handshake. */
function isHandshakeUnderWay(port: number): boolean {
  const state = new RegExp(
    String.raw`^ *\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} \S+ 03 `,
    'm',
  );
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((list) => {
    try {
      return state.test(readFileSync(list, 'latin1'));
    } catch {
      return false;
    }
  });
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
