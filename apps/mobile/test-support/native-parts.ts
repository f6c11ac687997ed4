/** The native halves of the libraries, for tests: what is computed is fake, what runs in JavaScript is the libraries' own. */
import type { FakeCactus } from './fake-cactus';

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
