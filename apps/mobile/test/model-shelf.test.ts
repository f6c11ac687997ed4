import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PhoneModel } from '../src/models/catalogue';
import { expoFiles } from '../src/models/expo-files';
import { ModelShelf } from '../src/models/model-shelf';
import { fakeAndroid } from '../test-support/fake-android';
import { LocalHub } from '../test-support/local-hub';
import { until } from '../test-support/router-process';

jest.mock('expo-modules-core', () => jest.requireActual('../test-support/fake-android').fakeAndroid().modulesCore());
jest.mock('expo-file-system', () => jest.requireActual('expo-file-system'));

const android = fakeAndroid();
const content = randomBytes(400_000);
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const gguf: PhoneModel = {
  id: 'tiny',
  title: 'Tiny',
  about: '',
  engine: 'llama.rn',
  quant: 'Q4_K_M',
  megabytes: 1,
  licence: '',
  source: { repository: 'them/tiny', revision: 'main', file: 'tiny.gguf' },
  sha256: hash(content),
};
const folder: PhoneModel = {
  ...gguf,
  id: 'gemma',
  engine: 'cactus',
  quant: 'int8',
  source: { repository: 'them/gemma', revision: 'v1', file: 'weights/gemma.zip' },
};
const { sha256: _, ...unhashed } = folder;

describe('models on their way to the phone', () => {
  const hub = new LocalHub();
  let home = '';

  beforeAll(async () => {
    android.hub = await hub.start();
  });
  afterAll(() => hub.stop());
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'lfo-models-'));
    android.home = home;
    android.freeMegabytes = 10_000;
    hub.pace = Infinity;
    hub.files.clear();
    hub.files.set('/them/tiny/resolve/main/tiny.gguf', content);
    hub.files.set('/them/gemma/resolve/v1/weights/gemma.zip', content);
    hub.requests.length = 0;
    hub.refuses = undefined;
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  let isMetered = false;
  const shelfOf = (model: PhoneModel): { shelf: ModelShelf; seen: string[]; kind: () => string } => {
    isMetered = false;
    const seen: string[] = [];
    const shelf = new ModelShelf(
      [model],
      expoFiles(() => isMetered),
      (id) => {
        const { kind } = shelf.stateOf(id);
        if (seen.at(-1) !== kind) seen.push(kind);
      },
    );
    return { shelf, seen, kind: () => shelf.stateOf(model.id).kind };
  };
  const kept = (): readonly string[] => readdirSync(join(home, 'models'));
  /** Until so many bytes have come. */
  const has = async (shelf: ModelShelf, id: string, bytes: number): Promise<void> =>
    until(
      () => {
        const state = shelf.stateOf(id);
        return state.kind === 'fetching' && state.bytes >= bytes;
      },
      () => `${bytes} bytes of ${JSON.stringify(shelf.stateOf(id))}`,
    );

  test('is fetched, compared with its hash and named last', async () => {
    const { shelf, seen } = shelfOf(gguf);
    await shelf.fetch('tiny', false);
    expect(seen).toEqual(['fetching', 'checking', 'ready']);
    expect(shelf.stateOf('tiny')).toEqual({ kind: 'ready', path: join(home, 'models', 'tiny-Q4_K_M.gguf') });
    expect(kept()).toEqual(['tiny-Q4_K_M.gguf']);
    expect(hash(readFileSync(join(home, 'models', 'tiny-Q4_K_M.gguf')))).toBe(gguf.sha256);
    // The next start finds it.
    expect(shelfOf(gguf).kind()).toBe('ready');
  });

  test('pauses, and goes on where it was', async () => {
    const { shelf, kind } = shelfOf(gguf);
    hub.pace = 2_000_000;
    const first = shelf.fetch('tiny', false);
    await has(shelf, 'tiny', 50_000);
    await shelf.pause('tiny');
    await first;
    expect(kind()).toBe('paused');
    const begun = readFileSync(join(home, 'models', 'tiny-Q4_K_M.gguf.part')).length;
    expect(begun).toBeGreaterThan(0);
    hub.pace = Infinity;
    await shelf.fetch('tiny', false);
    expect(kind()).toBe('ready');
    expect(hub.requests.map(({ range }) => range)).toEqual([undefined, `bytes=${begun}-`]);
  });

  test('an app that was killed in the middle goes on where it was', async () => {
    const { shelf } = shelfOf(gguf);
    hub.pace = 2_000_000;
    void shelf.fetch('tiny', false);
    await has(shelf, 'tiny', 50_000);
    android.kill();
    const again = shelfOf(gguf);
    expect(again.shelf.stateOf('tiny')).toMatchObject({ kind: 'paused', total: 1_048_576 });
    hub.pace = Infinity;
    await again.shelf.fetch('tiny', false);
    expect(again.kind()).toBe('ready');
    expect(hub.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/);
  });

  test('a network that breaks keeps what has come', async () => {
    const { shelf, kind } = shelfOf(gguf);
    hub.pace = 2_000_000;
    const first = shelf.fetch('tiny', false);
    await has(shelf, 'tiny', 50_000);
    hub.breakOff();
    await first;
    expect(shelf.stateOf('tiny')).toMatchObject({ kind: 'failed', message: expect.stringContaining('goes on where') });
    hub.pace = Infinity;
    await shelf.fetch('tiny', false);
    expect(kind()).toBe('ready');
    expect(hub.requests.at(-1)?.range).toMatch(/^bytes=[1-9]\d*-$/);
  });

  test.each([404, 503])('a hub that answers %i leaves nothing behind', async (status) => {
    const { shelf } = shelfOf(gguf);
    hub.refuses = status;
    await shelf.fetch('tiny', false);
    expect(shelf.stateOf('tiny')).toMatchObject({ kind: 'failed', message: expect.stringContaining(String(status)) });
    expect(kept()).toEqual([]);
  });

  test('a hub that sends the whole instead of the rest is not believed', async () => {
    const { shelf, kind } = shelfOf(gguf);
    writeFileSync(join(home, 'models', 'tiny-Q4_K_M.gguf.part'), content.subarray(0, 1000));
    hub.ignoresRange = true;
    await shelf.fetch('tiny', false);
    hub.ignoresRange = false;
    expect(kind()).toBe('failed');
    await shelf.fetch('tiny', false);
    expect(kind()).toBe('ready');
  });

  test('a file that is not what it should be is thrown away', async () => {
    const { shelf, seen } = shelfOf({ ...gguf, sha256: hash(Buffer.from('another')) });
    await shelf.fetch('tiny', false);
    expect(seen).toEqual(['fetching', 'checking', 'failed']);
    expect(kept()).toEqual([]);
  });

  test('an archive is compared with what the hub names, and its folder is whole when it is there', async () => {
    const { shelf, seen, kind } = shelfOf(unhashed);
    hub.trees.set('/api/models/them/gemma/tree/v1/weights', [
      { path: 'weights/other.zip', lfs: { oid: 'x' } },
      { path: 'weights/gemma.zip', lfs: { oid: hash(content) } },
    ]);
    android.failsToUnzip = true;
    await shelf.fetch('gemma', false);
    expect(kind()).toBe('failed');
    expect(existsSync(join(home, 'models', 'gemma-int8'))).toBe(false);
    android.failsToUnzip = false;
    // It is not fetched once more.
    await shelf.fetch('gemma', false);
    expect(hub.requests).toHaveLength(1);
    expect(seen.at(-1)).toBe('ready');
    expect(kept()).toEqual(['gemma-int8']);
    shelf.remove('gemma');
    expect(kept()).toEqual([]);
    expect(kind()).toBe('absent');
  });

  test('without a hash nothing is trusted, and what has come stays', async () => {
    const { shelf } = shelfOf(unhashed);
    hub.trees.clear();
    await shelf.fetch('gemma', false);
    expect(shelf.stateOf('gemma')).toMatchObject({ kind: 'failed', message: expect.stringContaining('did not say') });
    expect(kept()).toEqual(['gemma-int8.whole']);
  });

  test('asks for room first: for an archive twice its size', async () => {
    android.freeMegabytes = 501.5;
    const one = shelfOf(gguf);
    await one.shelf.fetch('tiny', false);
    expect(one.kind()).toBe('ready');
    const two = shelfOf(folder);
    await two.shelf.fetch('gemma', false);
    expect(two.shelf.stateOf('gemma')).toEqual({ kind: 'failed', message: 'Free 1 MB on this phone first.' });
    expect(hub.requests).toHaveLength(1);
  });

  test('Wi-Fi only: it waits, goes on by itself, and waits again on mobile data', async () => {
    const { shelf, kind } = shelfOf(gguf);
    isMetered = true;
    await shelf.fetch('tiny', false);
    expect(shelf.stateOf('tiny')).toMatchObject({ kind: 'paused', waitsForWifi: true });
    expect(hub.requests).toEqual([]);
    hub.pace = 2_000_000;
    isMetered = false;
    shelf.networkChanged(false);
    await has(shelf, 'tiny', 50_000);
    isMetered = true;
    shelf.networkChanged(false);
    await until(
      () => kind() === 'paused',
      () => 'pause',
    );
    hub.pace = Infinity;
    isMetered = false;
    await until(
      () => {
        shelf.networkChanged(false);
        return kind() === 'ready';
      },
      () => `ready model: ${kind()}`,
    );
  });

  test('paused by its owner, it does not go on by itself', async () => {
    const { shelf, kind } = shelfOf(gguf);
    hub.pace = 2_000_000;
    const fetching = shelf.fetch('tiny', false);
    await has(shelf, 'tiny', 50_000);
    await shelf.pause('tiny');
    await fetching;
    shelf.networkChanged(false);
    expect(kind()).toBe('paused');
  });

  test('mobile data where its owner allows it', async () => {
    const { shelf, kind } = shelfOf(gguf);
    isMetered = true;
    await shelf.fetch('tiny', true);
    expect(kind()).toBe('ready');
  });
});
