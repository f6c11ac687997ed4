import type { PhoneModel } from './catalogue';
import { addressOf } from './catalogue';

/** How far a model is on its way to the phone. */
export type ModelState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'fetching'; readonly bytes: number; readonly total: number }
  /** What was fetched is kept. */
  | { readonly kind: 'paused'; readonly bytes: number; readonly total: number }
  | { readonly kind: 'checking' }
  | { readonly kind: 'ready'; readonly path: string }
  /** The message is for the owner. */
  | { readonly kind: 'failed'; readonly message: string };

/** A download that can be paused and taken up again, also by another process. */
export interface Download {
  /** Resolves true when whole, false when paused. @throws Error */
  run(onProgress: (bytes: number, total: number) => void): Promise<boolean>;
  /** Resolves with what `take up` needs later. */
  pause(): Promise<string>;
}

/** Files on the phone and the way to the hub. */
export interface ModelFiles {
  /** Absolute path of a name in the models folder; undefined where it is not there. */
  find(name: string): string | undefined;
  pathOf(name: string): string;
  remove(name: string): void;
  rename(from: string, to: string): void;
  read(name: string): string | undefined;
  write(name: string, text: string): void;
  freeMegabytes(): number;
  sha256(path: string): Promise<string>;
  unzip(archive: string, folder: string): Promise<void>;
  download(from: string, name: string, resumeData: string | undefined): Download;
  /** SHA-256 that the hub names for a file. */
  hubHash(model: PhoneModel): Promise<string | undefined>;
  /** Whether the network costs money by the byte. */
  isMetered(): boolean;
}

/** Left free beside a model: the phone needs room too. */
const roomMb = 500;

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

  stateOf(id: string): ModelState {
    return this.#states.get(id) ?? { kind: 'absent' };
  }

  /** Fetches, checks and unpacks; goes on where it was paused. Never rejects: the outcome is a state. */
  async fetch(id: string, onAnyNetwork: boolean): Promise<void> {
    const model = this.#models.find((known) => known.id === id);
    if (model === undefined || this.#downloads.has(id)) return;
    const before = this.stateOf(id);
    const missingMb = model.megabytes + roomMb - this.#files.freeMegabytes();
    if (missingMb > 0)
      return this.#become(id, { kind: 'failed', message: `Free ${Math.ceil(missingMb)} MB on this phone first.` });
    if (this.#files.isMetered() && !onAnyNetwork)
      return this.#become(id, { kind: 'failed', message: 'Fetched on Wi-Fi only. Settings can allow mobile data.' });
    const total = before.kind === 'paused' ? before.total : model.megabytes * 1_048_576;
    const bytes = before.kind === 'paused' ? before.bytes : 0;
    this.#become(id, { kind: 'fetching', bytes, total });
    try {
      const part = this.#files.download(addressOf(model), partOf(model), this.#files.read(resumeOf(model)));
      this.#downloads.set(id, part);
      const isWhole = await part.run((done, all) =>
        this.#become(id, { kind: 'fetching', bytes: done, total: all > 0 ? all : total }),
      );
      if (isWhole) await this.#finish(model);
    } catch {
      this.#become(id, { kind: 'failed', message: 'The download broke off. Look at the network and try again.' });
    } finally {
      this.#downloads.delete(id);
    }
  }

  /** Stops the download; what was fetched is kept. */
  async pause(id: string): Promise<void> {
    const [model, state, download] = [
      this.#models.find((known) => known.id === id),
      this.stateOf(id),
      this.#downloads.get(id),
    ];
    if (model === undefined || state.kind !== 'fetching' || download === undefined) return;
    this.#files.write(resumeOf(model), await download.pause());
    this.#become(id, { ...state, kind: 'paused' });
  }

  /** Takes the model and whatever was fetched of it off the phone. */
  remove(id: string): void {
    const model = this.#models.find((known) => known.id === id);
    if (model === undefined) return;
    for (const name of [nameOf(model), partOf(model), resumeOf(model)]) this.#files.remove(name);
    this.#become(id, { kind: 'absent' });
  }

  async #finish(model: PhoneModel): Promise<void> {
    const { id } = model;
    this.#become(id, { kind: 'checking' });
    const part = this.#files.pathOf(partOf(model));
    const wanted = model.sha256 ?? (await this.#files.hubHash(model));
    if (wanted === undefined || (await this.#files.sha256(part)) !== wanted) {
      for (const name of [partOf(model), resumeOf(model)]) this.#files.remove(name);
      const message =
        wanted === undefined
          ? 'The hub did not say what the file must be like. Try again later.'
          : 'The file is not what it should be and was thrown away. Fetch it again.';
      return this.#become(id, { kind: 'failed', message });
    }
    if (model.engine === 'cactus') {
      await this.#files.unzip(part, this.#files.pathOf(nameOf(model)));
      this.#files.remove(partOf(model));
    } else this.#files.rename(partOf(model), nameOf(model));
    this.#files.remove(resumeOf(model));
    this.#become(id, this.#found(model));
  }

  #found(model: PhoneModel): ModelState {
    const path = this.#files.find(nameOf(model));
    if (path !== undefined) return { kind: 'ready', path };
    const isBegun = this.#files.read(resumeOf(model)) !== undefined;
    return isBegun ? { kind: 'paused', bytes: 0, total: model.megabytes * 1_048_576 } : { kind: 'absent' };
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

function resumeOf(model: PhoneModel): string {
  return `${nameOf(model)}.resume`;
}
