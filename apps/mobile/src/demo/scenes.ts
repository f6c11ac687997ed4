import type { PhoneView } from '../host/phone-host';
import { defaultSettings } from '../host/device-store';
import type { RouterView } from '../host/router-links';
import { catalogue } from '../models/catalogue';
import type { ModelState } from '../models/model-shelf';
import type { FoundRouter, Phone } from '../screens/phone';
import { tabs, type Tab } from '../screens/tabs';

/** One state of a phone that is made up, for a browser. */
export interface Scene {
  readonly view: PhoneView;
  readonly models: Readonly<Record<string, ModelState>>;
  readonly found: readonly FoundRouter[];
}

const megabyte = 1_048_576;
const gemma = 'functiongemma-270m-it';
const noon = 1_790_000_000_000;

const home: RouterView = {
  router: {
    id: 'rtr-xvergfd0n52hb4yw',
    key: new Uint8Array(32),
    name: 'Office laptop',
    hosts: ['192.168.1.10'],
    port: 4870,
  },
  state: { kind: 'connected' },
  deviceName: 'pixel-8',
};

const serving: PhoneView = {
  settings: { ...defaultSettings, name: 'Pixel 8', model: gemma, isOn: true },
  fingerprint: 'M0M9-G403-5TT1-E9TE',
  model: { title: 'FunctionGemma 270M', load: { kind: 'ready' } },
  routers: [home],
  shown: undefined,
  gate: undefined,
  machine: { net: 'wifi', battery: { pct: 82, charging: true, saver: false }, thermal: { status: 1 } },
  active: 1,
  queued: 0,
  decodeRate: 61.2,
  notes: [
    { at: noon, tookMs: 640, promptTokens: 412, answerTokens: 31, outcome: 'answered' },
    { at: noon - 9_000, tookMs: 1310, promptTokens: 840, answerTokens: 64, outcome: 'answered' },
    { at: noon - 31_000, tookMs: 220, promptTokens: 390, answerTokens: 6, outcome: 'stopped' },
    { at: noon - 45_000, tookMs: 700, promptTokens: 398, answerTokens: 35, outcome: 'answered' },
  ],
  answered: 128,
  removedBy: undefined,
};
const ready: Readonly<Record<string, ModelState>> = { [gemma]: { kind: 'ready', path: '/models/functiongemma' } };
const fresh: PhoneView = {
  ...serving,
  settings: { ...serving.settings, model: '', isOn: false },
  model: { title: '', load: { kind: 'none' } },
  routers: [],
  active: 0,
  decodeRate: undefined,
  notes: [],
  answered: 0,
};
const quiet: PhoneView = { ...serving, active: 0 };
const away = (code: string): RouterView => ({ ...home, state: { kind: 'waiting', code, untilMs: 0 } });
const dialling: RouterView = {
  ...home,
  router: { ...home.router, hosts: [] },
  state: { kind: 'ended', code: 'dialled' },
};
const gated = (code: NonNullable<PhoneView['gate']>['code'], machine: PhoneView['machine']): PhoneView => ({
  ...quiet,
  gate: { code, why: '' },
  machine: { ...serving.machine, ...machine },
});
const fetching = (bytes: number): Readonly<Record<string, ModelState>> => ({
  [gemma]: { kind: 'fetching', bytes: bytes * megabyte, total: 290 * megabyte },
});
const notLoaded: PhoneView = { ...quiet, model: { title: 'FunctionGemma 270M', load: { kind: 'none' } }, routers: [] };

const scene = (view: PhoneView, models = ready, found: readonly FoundRouter[] = []): Scene => ({ view, models, found });

/** Every state that an owner may see. */
export const scenes: Readonly<Record<string, Scene>> = {
  fresh: scene(fresh, {}, [{ name: 'Office laptop', address: '192.168.1.10:4870', isPairing: true }]),
  off: scene({ ...quiet, settings: { ...serving.settings, isOn: false } }),
  'no-model': scene({ ...fresh, settings: { ...fresh.settings, isOn: true } }, {}),
  downloading: scene(notLoaded, fetching(122)),
  checking: scene(notLoaded, { [gemma]: { kind: 'checking' } }),
  'download-paused': scene(notLoaded, { [gemma]: { kind: 'paused', bytes: 122 * megabyte, total: 290 * megabyte } }),
  'download-waits': scene(notLoaded, {
    [gemma]: { kind: 'paused', bytes: 122 * megabyte, total: 290 * megabyte, waitsForWifi: true },
  }),
  'download-failed': scene(
    { ...fresh, settings: { ...fresh.settings, model: gemma, isOn: true } },
    {
      [gemma]: {
        kind: 'failed',
        message: 'The download broke off. Look at the network and try again: it goes on where it was.',
      },
    },
  ),
  loading: scene({ ...quiet, model: { title: 'FunctionGemma 270M', load: { kind: 'loading', fraction: 0.4 } } }),
  'load-failed': scene({
    ...quiet,
    model: {
      title: 'FunctionGemma 270M',
      load: { kind: 'failed', message: 'Cactus cannot load this model: fetch it again or choose another.' },
    },
  }),
  unpaired: scene({ ...quiet, routers: [] }),
  connecting: scene({ ...quiet, routers: [{ ...home, state: { kind: 'connecting' } }] }),
  unreachable: scene({ ...quiet, routers: [away('unreachable')] }),
  restarting: scene({ ...quiet, routers: [away('closing')] }),
  unknown: scene({ ...quiet, routers: [away('unknown_key')] }),
  conflict: scene({ ...quiet, routers: [away('duplicate_identity')] }),
  version: scene({ ...quiet, routers: [away('unsupported_version')] }),
  removed: scene({ ...quiet, routers: [], removedBy: 'Office laptop' }),
  serving: scene(serving),
  hot: scene(gated('thermal', { thermal: { status: 3 } })),
  battery: scene(gated('battery', { battery: { pct: 18, charging: false, saver: false } })),
  saver: scene(gated('saver', { battery: { pct: 41, charging: false, saver: true } })),
  memory: scene(gated('memory', { mem_free_mb: 210 })),
  'no-network': scene(gated('network', { net: 'none' })),
  cellular: scene(gated('network', { net: 'cellular' })),
  paused: scene(gated('paused', {})),
  dialled: scene({
    ...quiet,
    routers: [],
    settings: { ...serving.settings, listens: true },
    shown: { uri: 'lfo://pair?v=1&r=device', code: 'M2GT-58X4-MPKA-FA59-NANT-SBDE-NW', untilMs: 0 },
  }),
  'dial-expected': scene({ ...quiet, settings: { ...serving.settings, listens: true }, routers: [dialling] }),
  'dial-forbidden': scene({ ...quiet, routers: [dialling] }),
};

/** Which scene and screen an address asks for. */
export function sceneOf(search: string): { readonly scene: string; readonly tab: Tab } {
  const query = new URLSearchParams(search);
  const tab = tabs.find((name) => name === query.get('tab')) ?? 'serve';
  return { scene: query.get('scene') ?? 'serving', tab };
}

/** A phone that is always in one state; what is pressed changes nothing. */
export function demoOf(name: string): Phone {
  const { view, models, found } = scenes[name] ?? scene(serving);
  const done = async (): Promise<void> => {};
  const stateOf = (id: string): ModelState => models[id] ?? { kind: 'absent' };
  return {
    host: {
      view,
      start: done,
      stop: done,
      pair: async () => 'unreachable',
      unpair: done,
      showPairing: done,
      endPairing: () => {},
      choose: done,
      setPaused: () => {},
      lookAgain: () => {},
    },
    shelf: {
      models: catalogue.map((model) => ({ model, state: stateOf(model.id) })),
      freeMegabytes: 12_595,
      stateOf,
      fetch: done,
      pause: done,
      remove: () => {},
    },
    background: { isAllowed: () => name !== 'fresh', ask: () => {} },
    address: () => '192.168.1.23',
    subscribe: () => () => {},
    discover(onFound) {
      onFound(found);
      return () => {};
    },
  };
}
