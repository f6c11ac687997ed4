import { type AddressInfo, connect, Server } from 'node:net';

import type { Clock } from '../core/clock.ts';

/** Node's own, given back where the door could not be held shut. */
const usualBacklog = 511;
const longestMs = 2_000;

/**
 * Closes the listener when no connection waits to be accepted: the system resets those, and what a balancer has sent on
 * them is lost. Merely to look for a moment without any is not enough, since one may come before the close. So the queue
 * is made one place long, and a connection of our own is put there: if it got the place, nobody else waits, and nobody
 * can come before the close. Whoever tries meanwhile is refused after it, and goes elsewhere.
 *
 * A connection whose handshake is not over at that moment is still reset, so few should be opened by then.
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
    if (await closesWhileBlocked(server, own)) return;
  }
  close(server);
}

/** Nothing but the ticks below runs between the first line and the last, so Node accepts nothing meanwhile. */
async function closesWhileBlocked(server: Server, own: Pick<AddressInfo, 'address' | 'port'>): Promise<boolean> {
  const setBacklog = beneath(server, 'listen');
  if (setBacklog?.(0) !== 0) return false;
  const plug = connect({ host: own.address, port: own.port });
  plug.on('error', () => undefined);
  try {
    // Node connects in the next tick.
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const isIn = beneath(plug, 'getpeername')?.({}) === 0;
    if (isIn) close(server);
    else setBacklog(usualBacklog);
    return isIn;
  } finally {
    plug.destroy();
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
