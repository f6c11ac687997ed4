import * as Device from 'expo-device';
import { getRandomValues } from 'expo-crypto';
import * as SecureStore from 'expo-secure-store';
import { AppState } from 'react-native';
import { noblePrimitives } from '@lfo/protocol/noble';
import { lfoHost } from '../../modules/lfo-host';
import { cactusEngine } from '../engines/cactus-engine';
import { llamaRnEngine } from '../engines/llama-rn-engine';
import { catalogue } from '../models/catalogue';
import { expoFiles } from '../models/expo-files';
import { ModelShelf } from '../models/model-shelf';
import type { Phone } from '../screens/phone';
import { systemClock as clock } from './clock';
import { discoverRouters } from './discovery';
import { PhoneHost } from './phone-host';
import { PhoneMachine } from './phone-machine';
import { connectTcp, listenTcp } from './tcp-carrier';

const appVersion = '0.1.0';

let opening: Promise<Phone> | undefined;

/** The phone this runs on: one, whether a screen or the foreground service asks first. */
export function thisPhone(): Promise<Phone> {
  opening ??= open();
  return opening;
}

async function open(): Promise<Phone> {
  // Not getRandomBytes: where a debugger may be, that one takes Math.random for good enough.
  const random = (length: number): Uint8Array => getRandomValues(new Uint8Array(length));
  const machine = await PhoneMachine.open();
  const engines = { cactus: cactusEngine({ clock, random }), 'llama.rn': llamaRnEngine({ clock, random }) };
  const changed = new Set<() => void>();
  let ready: (id: string) => void = () => {};
  const shelf = new ModelShelf(
    catalogue,
    expoFiles(() => machine.isMetered),
    (id) => {
      for (const run of changed) run();
      if (shelf.stateOf(id).kind === 'ready') ready(id);
    },
  );
  const host = await PhoneHost.open({
    clock,
    now: Date.now,
    random: Math.random,
    primitives: noblePrimitives(random),
    secrets: {
      get: (name) => SecureStore.getItemAsync(name),
      set: (name, value) => SecureStore.setItemAsync(name, value),
      remove: (name) => SecureStore.deleteItemAsync(name),
    },
    machine,
    service: {
      show: (text) => lfoHost?.show(text),
      hide: () => lfoHost?.hide(),
      onStop: (run) => void lfoHost?.addListener('onStop', run),
      setStartsOnBoot: (isOn) => lfoHost?.setStartsOnBoot(isOn),
    },
    connect: connectTcp,
    listen: listenTcp,
    modelOf(id) {
      const model = catalogue.find((known) => known.id === id);
      const state = shelf.stateOf(id);
      if (model === undefined || state.kind !== 'ready') return undefined;
      return { engine: engines[model.engine], file: { id, path: state.path, quant: model.quant }, title: model.title };
    },
    about: {
      name: Device.deviceName ?? Device.modelName ?? 'Phone',
      app: `lfo-mobile/${appVersion}`,
      os: `Android ${Device.osVersion ?? ''}`.trim(),
    },
  });
  // The chosen model has just come: it is loaded without being asked for again.
  ready = (id) => {
    if (host.view.settings.model === id) host.reload();
  };
  machine.subscribe((what) => {
    if (what === 'network') shelf.networkChanged(host.view.settings.downloadsOnCellular);
  });
  AppState.addEventListener('change', (state) => {
    if (state !== 'active') return;
    host.lookAgain();
    // What was changed in Android's settings meanwhile.
    for (const run of changed) run();
  });
  return {
    host,
    shelf,
    background: {
      isAllowed: () => lfoHost?.isUnrestricted() ?? false,
      ask: () => lfoHost?.askUnrestricted(),
    },
    address: () => machine.address,
    discover: discoverRouters,
    subscribe(run) {
      changed.add(run);
      const end = host.subscribe(run);
      return () => {
        changed.delete(run);
        end();
      };
    },
  };
}
