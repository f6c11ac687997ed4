import { randomBytes, createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { act, fireEvent, render, screen } from '@testing-library/react-native';
import { AppRegistry, AppState } from 'react-native';
import { App } from '../src/app';
import { discoverRouters } from '../src/host/discovery';
import { thisPhone } from '../src/host/this-phone';
import type { FoundRouter } from '../src/screens/phone';
import { fakeAndroid } from '../test-support/fake-android';
import { LocalHub } from '../test-support/local-hub';
import { fakeZeroconf } from '../test-support/native-parts';
import { RouterProcess } from '../test-support/router-process';

jest.mock('expo-modules-core', () => jest.requireActual('../test-support/fake-android').fakeAndroid().modulesCore());
jest.mock('expo-file-system', () => jest.requireActual('expo-file-system'));

const android = fakeAndroid();
// The phone changes by itself, outside of what a test does.
jest.spyOn(console, 'error').mockImplementation((...told) => {
  if (!String(told[0]).includes('not wrapped in act')) process.stderr.write(`${told.join(' ')}\n`);
});
// The app looks at its memory as long as it runs.
const looking = jest.spyOn(globalThis, 'setInterval');
const appState = jest.spyOn(AppState, 'addEventListener');
const wait = { timeout: 40_000, interval: 50 };

describe('the whole app as its owner uses it, with a real router and a hub on this machine', () => {
  const router = new RouterProcess();
  const hub = new LocalHub();
  const archive = randomBytes(600_000);
  const home = mkdtempSync(join(tmpdir(), 'lfo-app-'));
  const source = '/Cactus-Compute/functiongemma-270m-it';

  beforeAll(async () => {
    await router.start();
    android.home = home;
    android.hub = await hub.start();
    hub.files.set(`${source}/resolve/v1.13/weights/functiongemma-270m-it-int8.zip`, archive);
    hub.trees.set(`/api/models${source}/tree/v1.13/weights`, [
      {
        path: 'weights/functiongemma-270m-it-int8.zip',
        lfs: { oid: createHash('sha256').update(archive).digest('hex') },
      },
    ]);
  });
  afterAll(async () => {
    const { host } = await thisPhone();
    await host.stop();
    for (const { value } of looking.mock.results) clearInterval(value);
    await router.remove();
    await hub.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const press = async (label: string): Promise<void> => {
    const [found] = await screen.findAllByLabelText(label, {}, wait);
    await act(async () => {
      fireEvent.press(found);
    });
  };
  const says = (text: string | RegExp): Promise<unknown> => screen.findByText(text, { exact: false }, wait);
  const word = (name: string): Promise<unknown> => screen.findByRole('heading', { name }, wait);

  test('from the first start to serving, through what happens to a phone, to Stop', async () => {
    jest.setTimeout(120_000);
    render(<App openPhone={thisPhone} />);
    await word('Not serving');
    expect(android.secrets.has('lfo.device.key')).toBe(true);

    await press('Go to Models');
    android.join('CELLULAR');
    await press('Fetch FunctionGemma 270M');
    await says('waits for Wi-Fi');
    hub.pace = 1_500_000;
    android.join('WIFI');
    await press('Pause fetching FunctionGemma 270M');
    await says(/of \d+ MB, paused/);
    hub.pace = Infinity;
    await press('Go on fetching FunctionGemma 270M');
    await says('This phone serves this model.');

    await press('Pair');
    expect(fakeZeroconf.scans).toEqual(['lfo.tcp.local.']);
    await act(async () =>
      fakeZeroconf.heard('Resolved', {
        name: 'laptop',
        host: 'laptop.local.',
        port: router.fleetPort,
        addresses: ['fe80::1', '127.0.0.1'],
        txt: { v: '1', id: 'rtr-x', n: 'Office laptop', pair: '1' },
      }),
    );
    await press('Use Office laptop');
    fireEvent.changeText(screen.getByLabelText('Code or link'), (await router.invite()).code.toLowerCase());
    await act(async () => {
      fireEvent.press(screen.getByRole('button', { name: 'Pair' }));
    });
    await says('Paired. This phone serves that router');
    const [device] = await router.devices();
    expect(screen.getByText(String(device?.fingerprint))).toBeTruthy();

    await press('Serve');
    expect(fakeZeroconf.scans.at(-1)).toBe('stop');
    await word('Serving');
    const tool = { type: 'function', function: { name: 'get_weather', description: 'Weather', parameters: {} } };
    const { json } = await router.chat('get_weather in Oslo', { tools: [tool] });
    expect(json.choices[0].message.tool_calls[0].function.name).toBe('get_weather');
    await screen.findByLabelText('Answered: 1', {}, wait);
    expect(android.notice).toBe('Serving FunctionGemma 270M');

    android.become({ lowPowerMode: true });
    await says('The battery saver is on.');
    android.become({ lowPowerMode: false, batteryLevel: 0.12 });
    await says('The battery is at 12 %.');
    android.become({ batteryState: 2 });
    await word('Serving');
    android.trimMemory(150);
    await says('Other apps need the memory.');
    android.trimMemory(3_000);
    await word('Serving');
    android.join('NONE');
    await says('There is no network.');
    expect(android.notice).toMatch(/^Paused: /);
    android.join('WIFI');
    await word('Serving');

    await router.stop();
    await word('Waiting for a router');
    await router.start();
    const [[, onState] = []] = appState.mock.calls;
    await act(async () => onState?.('active'));
    await word('Serving');

    android.pressStop();
    await word('Not serving');
    expect(android.notice).toBeUndefined();
    await router.device('offline');
    await press('Start serving');
    await word('Serving');

    await press('Settings');
    await press('Let it work with the screen off');
    expect(android.asksToBeUnrestricted).toBe(1);
    android.isUnrestricted = true;
    await act(async () => onState?.('active'));
    await screen.findByLabelText('With the screen off: works on', {}, wait);
    await act(async () => {
      fireEvent(screen.getByLabelText(/^Start when the phone starts/), 'valueChange', true);
    });
    expect(android.startsOnBoot).toBe(true);
    await press(`Unpair ${(await thisPhone()).host.view.routers[0]?.router.name}`);
    await says('No router is paired.');
    expect(await router.devices()).toEqual([]);
  });

  test('started after a boot, a phone that its owner had stopped ends its service', async () => {
    const tasks = jest.spyOn(AppRegistry, 'registerHeadlessTask');
    jest.requireActual('../src/start');
    const { host } = await thisPhone();
    await host.stop();
    android.notice = 'Starting';
    await tasks.mock.calls[0]?.[1]()({});
    expect(android.notice).toBeUndefined();
  });

  test('what is heard on the network is shown as it is, and forgotten when it leaves', () => {
    let found: readonly FoundRouter[] = [];
    const end = discoverRouters((routers) => (found = routers));
    const service = { name: 'a', host: 'a.local.', port: 4870, addresses: ['fd00::2'], txt: {} };
    fakeZeroconf.heard('Resolved', service);
    expect(found).toEqual([{ name: 'a', address: '[fd00::2]:4870', isPairing: false }]);
    fakeZeroconf.heard('Resolved', { ...service, addresses: [], txt: { n: 'x'.repeat(100), pair: '1' } });
    expect(found).toEqual([{ name: 'x'.repeat(64), address: 'a.local.:4870', isPairing: true }]);
    fakeZeroconf.heard('Resolved', { name: 'half', port: 4870 });
    expect(found).toHaveLength(1);
    fakeZeroconf.heard('Error', 'NSD is away');
    fakeZeroconf.heard('Remove', { name: 'a' });
    expect(found).toEqual([]);
    end();
    fakeZeroconf.heard('Resolved', service);
    expect(found).toEqual([]);
  });
});
