import type { TestRouter } from './router.ts';
import { at } from './sse.ts';
import { eventually, type TestDevice, type TestLink } from './test-device.ts';

/** An open pairing: its link, its code, and the port that devices dial. */
export interface Invitation {
  readonly uri: string;
  readonly code: string;
  readonly port: number;
}

/** Where devices are heard, which is a moment after HTTP is. */
export function devicePort(router: TestRouter, headers: Record<string, string> = {}): Promise<number> {
  return eventually(async () => {
    const port = at((await router.request('GET', '/admin/devices', undefined, headers)).json, 'port');
    return typeof port === 'number' ? port : undefined;
  }, 'the port for devices');
}

/** Opens one. */
export async function invited(router: TestRouter): Promise<Invitation> {
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  const uri = String(at(json, 'uri'));
  return { uri, code: String(at(json, 'code')), port: Number(/[?&]p=(\d+)/.exec(uri)?.[1]) };
}

/** The same link through another port. */
export function throughPort(uri: string, port: number): string {
  return uri.replace(/\bp=\d+/, `p=${port}`);
}

/** A device that has joined. */
export interface JoinedDevice {
  readonly id: string;
  /** Of the router. */
  readonly port: number;
  readonly link: TestLink;
}

/** Pairs a device, on another port where `through` names one; resolves once the router has it ready. */
export async function joined(
  router: TestRouter,
  device: TestDevice,
  through?: (port: number) => Promise<number>,
): Promise<JoinedDevice> {
  const { uri, port } = await invited(router);
  const before = Number(at((await router.request('GET', '/admin/devices')).json, 'devices', 'length'));
  const link = await device.pair(through === undefined ? uri : throughPort(uri, await through(port)));
  const id = await eventually(async () => {
    const added = at((await router.request('GET', '/admin/devices')).json, 'devices', before);
    return at(added, 'state') === 'ready' ? String(at(added, 'id')) : undefined;
  }, 'the device');
  return { id, port, link };
}
