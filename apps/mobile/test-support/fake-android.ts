/**
 * The native halves of Expo's libraries and of the app's own module, on Node: files in a folder, downloads after expo's
 * Kotlin, and a battery, heat, memory and network that the test decides.
 */
import { createHash, webcrypto } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { get, type ClientRequest } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';

interface Emitter {
  emit(event: string, body?: unknown): void;
}
type Native = Emitter & Record<string, unknown>;

const hubAddress = 'https://huggingface.co';

class FakePath {
  readonly uri: string;

  constructor(uri: string) {
    this.uri = uri;
  }

  get path(): string {
    return fileURLToPath(this.uri).replace(/\/$/, '');
  }

  validatePath(): void {}

  delete(): void {
    rmSync(this.path, { recursive: true });
  }

  move(to: FakePath): void {
    renameSync(this.path, to.path);
  }
}

class FakeFile extends FakePath {
  get exists(): boolean {
    return existsSync(this.path) && statSync(this.path).isFile();
  }

  get size(): number {
    return statSync(this.path).size;
  }
}

class FakeDirectory extends FakePath {
  get exists(): boolean {
    return existsSync(this.path) && statSync(this.path).isDirectory();
  }

  create(): void {
    mkdirSync(this.path, { recursive: true });
  }
}

export class FakeAndroid {
  /** The app's private folder. */
  home = '';
  /** Address of the model hub in place of the real one. */
  hub = '';
  freeMegabytes = 10_000;
  failsToUnzip = false;
  thermal = 0;
  freeMemoryMb = 2_000;
  power = { batteryLevel: 0.8, batteryState: 1, lowPowerMode: false };
  network: { readonly type: string; readonly isConnected: boolean } = { type: 'WIFI', isConnected: true };
  readonly secrets = new Map<string, string>();
  notice: string | undefined;
  startsOnBoot = false;
  isUnrestricted = false;
  asksToBeUnrestricted = 0;
  readonly #modules = new Map<string, Native>();
  readonly #calls = new Map<string, { readonly request: ClientRequest; readonly path: string; end(): void }>();

  /** In place of the library `expo-modules-core`. */
  modulesCore(): object {
    const core = jest.requireActual('expo-modules-core');
    Object.assign(globalThis, { fetch: this.#fetch });
    const find = (name: string): unknown => this.#module(name) ?? core.requireOptionalNativeModule(name);
    return { ...core, requireNativeModule: find, requireOptionalNativeModule: find };
  }

  become(power: Partial<FakeAndroid['power']>): void {
    this.power = { ...this.power, ...power };
    this.#module('ExpoBattery')?.emit('Expo.powerModeDidChange', {});
  }

  join(type: 'WIFI' | 'CELLULAR' | 'NONE'): void {
    this.network = { type, isConnected: type !== 'NONE' };
    this.#module('ExpoNetwork')?.emit('onNetworkStateChanged', this.network);
  }

  heat(status: number): void {
    this.thermal = status;
    this.#module('LfoHost')?.emit('onThermal', { status });
  }

  trimMemory(freeMb: number): void {
    this.freeMemoryMb = freeMb;
    this.#module('LfoHost')?.emit('onMemory', { level: 15 });
  }

  pressStop(): void {
    this.#module('LfoHost')?.emit('onStop', {});
  }

  /** The app's process ends: nothing of it goes on. */
  kill(): void {
    for (const { request } of this.#calls.values())
      request
        .removeAllListeners()
        .on('error', () => {})
        .destroy();
    this.#calls.clear();
  }

  #module(name: string): Native | undefined {
    const known = this.#modules.get(name);
    const make = this.#makers[name];
    if (known !== undefined || make === undefined) return known;
    const { expo }: { expo: { NativeModule: new () => Native } } = Object(globalThis);
    const made = Object.defineProperties(new expo.NativeModule(), Object.getOwnPropertyDescriptors(make()));
    this.#modules.set(name, made);
    return made;
  }

  readonly #makers: Readonly<Record<string, () => object>> = {
    ExpoSecureStore: () => ({
      getValueWithKeyAsync: async (key: string) => this.secrets.get(key) ?? null,
      setValueWithKeyAsync: async (value: string, key: string) => void this.secrets.set(key, value),
      deleteValueWithKeyAsync: async (key: string) => void this.secrets.delete(key),
    }),
    ExpoCrypto: () => ({ getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => webcrypto.getRandomValues(bytes) }),
    ExpoBattery: () => ({
      getBatteryLevelAsync: async () => this.power.batteryLevel,
      getBatteryStateAsync: async () => this.power.batteryState,
      isLowPowerModeEnabledAsync: async () => this.power.lowPowerMode,
    }),
    ExpoNetwork: () => ({
      getNetworkStateAsync: async () => this.network,
      getIpAddressAsync: async () => '127.0.0.1',
    }),
    ExpoDevice: () => ({ deviceName: 'Test phone', osVersion: '16' }),
    LfoHost: () => ({
      thermalStatus: () => this.thermal,
      thermalHeadroom: () => Number.NaN,
      memory: () => ({ freeMb: this.freeMemoryMb, totalMb: 8_000, diskFreeMb: this.freeMegabytes }),
      isUnrestricted: () => this.isUnrestricted,
      askUnrestricted: () => void (this.asksToBeUnrestricted += 1),
      show: (text: string) => void (this.notice = text),
      hide: () => void (this.notice = undefined),
      setStartsOnBoot: (isOn: boolean) => void (this.startsOnBoot = isOn),
      sha256: async (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex'),
      unzip: async (_archive: string, folder: string) => {
        mkdirSync(folder, { recursive: true });
        if (this.failsToUnzip) throw new Error('no room');
      },
    }),
    FileSystem: () =>
      Object.defineProperty({ FileSystemFile: FakeFile, FileSystemDirectory: FakeDirectory }, 'documentDirectory', {
        enumerable: true,
        get: () => `${pathToFileURL(this.home).href}/`,
      }),
    ExponentFileSystem: () => ({
      downloadResumableStartAsync: this.#download,
      downloadResumablePauseAsync: async (id: string) => {
        const call = this.#calls.get(id);
        if (call === undefined) throw new Error('No download object available');
        this.#calls.delete(id);
        call.end();
        return { resumeData: String(statSync(call.path).size) };
      },
    }),
  };

  /** In place of React Native's, which ends in a native module. */
  #fetch = (address: string): Promise<{ readonly ok: boolean; json(): Promise<unknown> }> =>
    new Promise((resolve, reject) => {
      get(address.replace(hubAddress, this.hub), (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (data: string) => (text += data));
        response.on('end', () =>
          resolve({ ok: response.statusCode === 200, json: async (): Promise<unknown> => JSON.parse(text) }),
        );
      }).on('error', reject);
    });

  /** As downloadResumableTask: whatever the answer's status, its body goes into the file, behind what is there. */
  #download = (
    from: string,
    uri: string,
    id: string,
    _options: object,
    resumeData: string | undefined,
  ): Promise<{ readonly uri: string; readonly status: number } | null> =>
    new Promise((resolve, reject) => {
      const path = fileURLToPath(uri);
      const begun = Number(resumeData ?? 0);
      const headers = resumeData === undefined ? {} : { range: `bytes=${resumeData}-` };
      const request = get(from.replace(hubAddress, this.hub), { headers }, (response) => {
        // Written at once, as a FileOutputStream does.
        const file = openSync(path, resumeData === undefined ? 'w' : 'a');
        response.on('close', () => closeSync(file));
        let written = begun;
        const total = begun + Number(response.headers['content-length'] ?? -1);
        response.on('data', (data: Buffer) => {
          writeSync(file, data);
          written += data.length;
          const data_ = { totalBytesWritten: written, totalBytesExpectedToWrite: total };
          this.#module('ExponentFileSystem')?.emit('expo-file-system.downloadProgress', { uuid: id, data: data_ });
        });
        response.on('error', reject);
        response.on('end', () => resolve({ uri, status: response.statusCode ?? 0 }));
      });
      request.on('error', reject);
      const end = (): void => {
        // First: what the end of the connection says then is not heard.
        resolve(null);
        request.removeAllListeners('error').on('error', () => {});
        request.destroy();
      };
      this.#calls.set(id, { request, path, end });
    });
}

const android = new FakeAndroid();

/** The one that the test's file was given. */
export function fakeAndroid(): FakeAndroid {
  return android;
}
