import { connect } from 'node:net';
import { serveState } from '../src/screens/serve-state';
import { type PairingBody, RouterProcess, until } from '../test-support/router-process';
import { memorySecrets, startPhone, type TestPhone } from '../test-support/test-phone';
import { tiny } from '../test-support/tiny-llama';

const stateOf = ({ host }: TestPhone): ReturnType<typeof serveState> =>
  serveState(host.view, { kind: 'ready', path: '' });

describe('a phone that waits to be dialled', () => {
  const router = new RouterProcess();
  const secrets = memorySecrets();
  let phone: TestPhone;

  beforeAll(async () => {
    await router.start();
    phone = await startPhone(tiny, secrets);
    await phone.host.choose({ model: 'tiny' });
    await phone.host.start();
  });
  afterAll(async () => {
    await phone.host.close();
    await router.remove();
  });

  const show = async (): Promise<string> => {
    await phone.host.showPairing('127.0.0.1');
    return phone.host.view.shown?.code ?? '';
  };
  /** The router dials, with a code. */
  const dial = async (code: string): Promise<string> => {
    const { json } = await router.send<PairingBody>('POST', '/admin/devices/pairings', {
      host: '127.0.0.1',
      port: phone.port,
      code,
    });
    let state = '';
    await until(
      async () => {
        ({ state } = (await router.get<PairingBody>(`/admin/devices/pairings/${json.id}`)).json);
        return state !== 'open';
      },
      () => 'end of the pairing',
    );
    return state;
  };
  const wrongCode = 'M2GT-58X4-MPKA-FA59-NANT-SBDE-NW';

  test('what it shows pairs the router that dials, once; it serves, and both name each other', async () => {
    const code = await show();
    expect(phone.host.view.shown?.uri).toMatch(/^lfo:\/\/pair\?v=1&r=device&h=127\.0\.0\.1&p=5555&k=/);
    expect(await dial(code)).toBe('used');
    await router.device('ready');
    expect(phone.host.view.shown).toBeUndefined();
    const answer = await router.chat('Count.');
    expect(answer.status).toBe(200);
    expect(answer.json.lfo_metadata.device.name).toBe('test-phone');
    const [paired] = phone.host.view.routers;
    expect(paired).toMatchObject({ state: { kind: 'connected' }, deviceName: 'test-phone', router: { hosts: [] } });
    expect(paired?.router.name).not.toBe('Router');
    expect(stateOf(phone)).toMatchObject({ word: 'Serving', next: 'stop' });
    expect(await dial(code)).toBe('failed');
  });

  test('a connection that proves nothing is no router', async () => {
    const sockets = Array.from({ length: 20 }, () => connect(phone.port, '127.0.0.1').on('error', () => {}));
    let closed = 0;
    for (const socket of sockets) socket.on('close', () => (closed += 1));
    // The oldest make room for the newest; none of them counts as a router.
    await until(
      () => closed >= 4,
      () => 'oldest connections closed',
    );
    expect(phone.host.view.routers).toHaveLength(1);
    expect((await router.chat('Count.')).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });

  test('five wrong codes end a pairing, also for who has the right one', async () => {
    const code = await show();
    for (let guess = 0; guess < 4; guess += 1) expect(await dial(wrongCode)).toBe('failed');
    expect(phone.host.view.shown).toBeDefined();
    expect(await dial(wrongCode)).toBe('failed');
    await until(
      () => phone.host.view.shown === undefined,
      () => 'pairing ended',
    );
    expect(await dial(code)).toBe('failed');
    await router.device('ready');
  });

  test('the router restarts and dials again; the phone waits without calling for its owner', async () => {
    await router.stop();
    await until(
      () => stateOf(phone).picture === 'waiting',
      () => 'waiting phone',
    );
    expect(stateOf(phone)).toMatchObject({ next: 'stop', sentence: expect.stringContaining('dials this phone') });
    expect(stateOf(phone).isProblem).toBeUndefined();
    await router.start();
    await router.device('ready');
    expect(stateOf(phone).word).toBe('Serving');
  });

  test('paired anew with a code, it stays one router, and the code is used up', async () => {
    const code = await show();
    expect(await dial(code)).toBe('used');
    await router.device('ready');
    expect(phone.host.view.routers).toHaveLength(1);
    expect(phone.host.view.shown).toBeUndefined();
  });

  test('after its process was killed it listens by itself', async () => {
    const { port } = phone;
    await phone.host.close();
    phone = await startPhone(tiny, secrets, port);
    await router.device('ready');
    expect(phone.host.view.routers).toMatchObject([{ state: { kind: 'connected' } }]);
  });

  test('not allowed to be dialled any more, it says where to allow it', async () => {
    await phone.host.choose({ listens: false });
    await router.device('offline');
    expect(stateOf(phone)).toMatchObject({ word: 'Waiting for a router', next: 'settings', isProblem: true });
    await phone.host.choose({ listens: true });
    await router.device('ready');
  });

  test('revoked by the router that dials, it forgets it and says so', async () => {
    const { id } = await router.device('ready');
    expect((await router.send('DELETE', `/admin/devices/${id}`)).status).toBe(204);
    await until(
      () => phone.host.view.routers.length === 0,
      () => 'phone without a router',
    );
    expect(stateOf(phone)).toMatchObject({ sentence: expect.stringContaining('has removed this phone'), next: 'pair' });
    expect(await dial(await show())).toBe('used');
    await router.device('ready');
  });

  test('unpaired by its owner, it tells the router that dials', async () => {
    await phone.host.unpair(phone.host.view.routers[0]?.router.id ?? '');
    await until(
      async () => (await router.devices()).length === 0,
      () => 'router without a phone',
    );
    expect(phone.host.view.routers).toEqual([]);
  });
});
