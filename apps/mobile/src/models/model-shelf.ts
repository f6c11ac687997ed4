import type { PhoneModel } from './catalogue';
import { addressOf } from './catalogue';

/** How far a model is on its way to the phone. */
export type ModelState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'fetching'; readonly bytes: number; readonly total: number }
  /** What was fetched is kept. It goes on by itself where only Wi-Fi is missing. */
  | { readonly kind: 'paused'; readonly bytes: number; readonly total: number; readonly waitsForWifi?: true }
  | { readonly kind: 'checking' }
  | { readonly kind: 'ready'; readonly path: string }
  /** The message is for the owner. */
  | { readonly kind: 'failed'; readonly message: string };

/** One attempt to download; what has come is kept. */
export interface Download {
  /** Resolves true when whole, false when paused. @throws Error; `HubError` where the hub refused */
  run(onProgress: (bytes: number, total: number) => void): Promise<boolean>;
  pause(): Promise<void>;
}

/** The hub answered with an error: what has come of it is none of the file. */
export class HubError extends Error {}

/** Files on the phone and the way to the hub. */
export interface ModelFiles {
  /** Absolute path of a file or folder in the models folder; undefined where it is not there. */
  find(name: string): string | undefined;
  pathOf(name: string): string;
  /** Of a file; 0 where it is not there. */
  bytesOf(name: string): number;
  /** Of a file or folder; nothing where it is not there. */
  remove(name: string): void;
  rename(from: string, to: string): void;
  freeMegabytes(): number;
  sha256(path: string): Promise<string>;
  unzip(archive: string, folder: string): Promise<void>;
  /** Adds to what is in the file of that name. */
  download(from: string, name: string): Download;
  /** SHA-256 that the hub names for a file. */
  hubHash(model: PhoneModel): Promise<string | undefined>;
  /** Whether the network costs money by the byte. */
  isMetered(): boolean;
}

/** Left free beside a model: the phone needs room too. */
const roomMb = 500;
const megabyte = 1_048_576;

/** The models on this phone and those on their way. */
export class ModelShelf {
  readonly #files: ModelFiles;
  readonly #models: readonly PhoneModel[];
  readonly #states = new Map<string, ModelState>();
  readonly #downloads = new Map<string, Download>();
  readonly #onChange: (id: string) => void;

  constructor(models: readonly PhoneModel[], files: ModelFiles, onChange: (id: string) => void) {
    this.#models = models;
    this.#files = files;
    this.#onChange = onChange;
    for (const model of models) this.#states.set(model.id, this.#found(model));
  }

  get models(): readonly { readonly model: PhoneModel; readonly state: ModelState }[] {
    return this.#models.map((model) => ({ model, state: this.stateOf(model.id) }));
  }

  get freeMegabytes(): number {
    return this.#files.freeMegabytes();
  }

  stateOf(id: string): ModelState {
    return this.#states.get(id) ?? { kind: 'absent' };
  }

  /** Fetches, checks and unpacks; goes on with what is there. Never rejects: the outcome is a state. */
  async fetch(id: string, onAnyNetwork: boolean): Promise<void> {
    const model = this.#models.find((known) => known.id === id);
    if (model === undefined || this.#downloads.has(id) || this.stateOf(id).kind === 'checking') return;
    const { isHere, bytes, total } = this.#begun(model);
    // An archive and what comes out of it are there together for a while.
    const wholeMb = model.megabytes * (model.engine === 'cactus' ? 2 : 1);
    const missingMb = wholeMb - bytes / megabyte + roomMb - this.#files.freeMegabytes();
    if (missingMb > 0)
      return this.#become(id, { kind: 'failed', message: `Free ${Math.ceil(missingMb)} MB on this phone first.` });
    if (isHere) return await this.#finished(model);
    if (this.#files.isMetered() && !onAnyNetwork)
      return this.#become(id, { kind: 'paused', bytes, total, waitsForWifi: true });
    this.#become(id, { kind: 'fetching', bytes, total });
    const part = this.#files.download(addressOf(model), partOf(model));
    this.#downloads.set(id, part);
    try {
      const isWhole = await part.run((done, all) => {
        if (this.stateOf(id).kind === 'fetching')
          this.#become(id, { kind: 'fetching', bytes: done, total: all > 0 ? all : total });
      });
      if (!isWhole) return;
      // Asking for the rest of a whole file would be refused.
      this.#files.rename(partOf(model), wholeOf(model));
      await this.#finished(model);
    } catch (error) {
      const isRefused = error instanceof HubError;
      if (isRefused) this.#files.remove(partOf(model));
      this.#become(id, {
        kind: 'failed',
        message: isRefused
          ? error.message
          : 'The download broke off. Look at the network and try again: it goes on where it was.',
      });
    } finally {
      this.#downloads.delete(id);
    }
  }

  /** Stops the download; what was fetched is kept. */
  async pause(id: string): Promise<void> {
    await this.#pause(id, {});
  }

  /** Another network: what waits for Wi-Fi goes on there, and what may not use another waits. */
  networkChanged(onAnyNetwork: boolean): void {
    const mayFetch = onAnyNetwork || !this.#files.isMetered();
    for (const [id, state] of this.#states) {
      if (mayFetch && state.kind === 'paused' && state.waitsForWifi === true) void this.fetch(id, onAnyNetwork);
      if (!mayFetch && state.kind === 'fetching') void this.#pause(id, { waitsForWifi: true });
    }
  }

  /** Takes the model and whatever was fetched of it off the phone. */
  remove(id: string): void {
    const model = this.#models.find((known) => known.id === id);
    if (model === undefined) return;
    for (const name of [nameOf(model), partOf(model), wholeOf(model), unpackedOf(model)]) this.#files.remove(name);
    this.#become(id, { kind: 'absent' });
  }

  async #pause(id: string, why: { readonly waitsForWifi?: true }): Promise<void> {
    const state = this.stateOf(id);
    const download = this.#downloads.get(id);
    if (state.kind !== 'fetching' || download === undefined) return;
    this.#become(id, { ...state, kind: 'paused', ...why });
    await download.pause();
  }

  /** Never rejects. */
  async #finished(model: PhoneModel): Promise<void> {
    this.#become(model.id, { kind: 'checking' });
    try {
      this.#become(model.id, await this.#checked(model));
    } catch {
      this.#become(model.id, { kind: 'failed', message: 'The file could not be unpacked. Try again.' });
    }
  }

  async #checked(model: PhoneModel): Promise<ModelState> {
    const [name, whole, unpacked] = [nameOf(model), wholeOf(model), unpackedOf(model)];
    const wanted = model.sha256 ?? (await this.#files.hubHash(model));
    if (wanted === undefined)
      return { kind: 'failed', message: 'The hub did not say what the file must be like. Try again later.' };
    if ((await this.#files.sha256(this.#files.pathOf(whole))) !== wanted) {
      this.#files.remove(whole);
      return { kind: 'failed', message: 'The file is not what it should be and was thrown away. Fetch it again.' };
    }
    if (model.engine === 'cactus') {
      // A folder that is there is whole: it gets its name last.
      this.#files.remove(unpacked);
      await this.#files.unzip(this.#files.pathOf(whole), this.#files.pathOf(unpacked));
      this.#files.rename(unpacked, name);
      this.#files.remove(whole);
    } else this.#files.rename(whole, name);
    return this.#found(model);
  }

  #found(model: PhoneModel): ModelState {
    const path = this.#files.find(nameOf(model));
    if (path !== undefined) return { kind: 'ready', path };
    const { bytes, total } = this.#begun(model);
    return bytes > 0 ? { kind: 'paused', bytes, total } : { kind: 'absent' };
  }

  /** What has come of a model that is not ready. */
  #begun(model: PhoneModel): { readonly isHere: boolean; readonly bytes: number; readonly total: number } {
    const total = model.megabytes * megabyte;
    const isHere = this.#files.bytesOf(wholeOf(model)) > 0;
    return { isHere, bytes: isHere ? total : this.#files.bytesOf(partOf(model)), total };
  }

  #become(id: string, state: ModelState): void {
    this.#states.set(id, state);
    this.#onChange(id);
  }
}

/** Cactus reads a folder, llama.cpp a file. */
function nameOf({ id, engine, quant }: PhoneModel): string {
  return engine === 'cactus' ? `${id}-${quant}` : `${id}-${quant}.gguf`;
}

function partOf(model: PhoneModel): string {
  return `${nameOf(model)}.part`;
}

/** Here, and not checked yet. */
function wholeOf(model: PhoneModel): string {
  return `${nameOf(model)}.whole`;
}

function unpackedOf(model: PhoneModel): string {
  return `${nameOf(model)}.new`;
}
