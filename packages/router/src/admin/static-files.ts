import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { compress, type Encoding } from './compression.ts';

/** One built file of the dashboard. */
export interface StaticFile {
  readonly type: string;
  readonly bytes: Buffer;
}

const types = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);

/** The built dashboard in memory: some 200 kB, found by name alone, so that no request names a path. */
export class StaticFiles {
  readonly #files: ReadonlyMap<string, StaticFile>;
  readonly #compressed = new Map<string, Promise<Buffer>>();

  constructor(files: ReadonlyMap<string, StaticFile>) {
    this.#files = files;
  }

  get(name: string): StaticFile | undefined {
    return this.#files.get(name);
  }

  /** Compressed once, when first asked for, off the event loop. */
  compressed(name: string, { bytes }: StaticFile, encoding: Encoding): Promise<Buffer> {
    const key = `${encoding} ${name}`;
    const known = this.#compressed.get(key);
    if (known !== undefined) return known;
    const started = compress(bytes, encoding);
    this.#compressed.set(key, started);
    return started;
  }
}

/** Reads a built dashboard: `index.html` and its assets, whose names hold a hash of their content. */
export function readStaticFiles(folder: string): StaticFiles {
  const files = new Map<string, StaticFile>();
  for (const name of readdirSync(folder)) {
    const type = types.get(extname(name));
    if (type !== undefined) files.set(name, { type, bytes: readFileSync(join(folder, name)) });
  }
  return new StaticFiles(files);
}
