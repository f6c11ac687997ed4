/** The native halves of the libraries, for tests: what is computed is fake, what runs in JavaScript is the libraries' own. */
import { DeviceEventEmitter, Linking, NativeModules } from 'react-native';
import type { FakeCactus } from './fake-cactus';
import type { FakeCamera } from './fake-camera';

jest.mock('react-native-nitro-modules', () => {
  const { FakeCactus: Fake } = jest.requireActual('./fake-cactus');
  const cactus = new Fake();
  return { NitroModules: { createHybridObject: cactus.create }, fakeCactus: cactus };
});

/** The one that the library under test was given. */
export function fakeCactus(): FakeCactus {
  const { fakeCactus: fake }: { fakeCactus: FakeCactus } = jest.requireMock('react-native-nitro-modules');
  return fake;
}

jest.mock('expo-camera', () => jest.requireActual('./fake-camera').fakeCameraLibrary());

/** The one that the app was given. */
export function fakeCamera(): FakeCamera {
  const { fakeCamera: fake }: { fakeCamera: FakeCamera } = jest.requireMock('expo-camera');
  return fake;
}

// Android hands links over as events of the name `url`.
Object.assign(Linking, {
  getInitialURL: async () => null,
  addEventListener: (type: string, run: (event: unknown) => void) => DeviceEventEmitter.addListener(type, run),
});

/** react-native-zeroconf's native half: what is heard on the network is what a test says. */
const scans: string[] = [];
export const fakeZeroconf = {
  scans,
  heard(event: 'Resolved' | 'Remove' | 'Error', service: object | string): void {
    DeviceEventEmitter.emit(`RNZeroconf${event}`, service);
  },
};
NativeModules['RNZeroconf'] = {
  addListener() {},
  removeListeners() {},
  scan: (type: string, protocol: string, domain: string) =>
    void fakeZeroconf.scans.push(`${type}.${protocol}.${domain}`),
  stop: () => void fakeZeroconf.scans.push('stop'),
};
