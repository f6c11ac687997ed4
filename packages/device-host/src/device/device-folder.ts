import * as crypto from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keyPair, keyText, nodePrimitives, readKeyText, type KeyPair, type Primitives } from '@lfo/protocol';
import * as z from 'zod';
import { makeFolder } from '../make-folder.ts';

/** Noise by OpenSSL. */
export const primitives: Primitives = nodePrimitives(crypto);

/** A router that this device is paired with. */
export interface KnownRouter {
  /** Public key. */
  readonly key: Uint8Array;
  /** Where it is dialled. */
  readonly host?: string;
  readonly port?: number;
  /** `host:port` on which it is waited for, where it dials. */
  readonly listen?: string;
}

/** A router that the first one has told of. */
export interface FurtherRouter {
  /** Public key. */
  readonly key: Uint8Array;
  readonly hosts: readonly string[];
  readonly port: number;
}

const furtherFile = z.array(
  z.object({ key: z.string(), hosts: z.array(z.string().min(1)).min(1), port: z.int().min(1).max(65_535) }),
);

const routerFile = z.object({
  key: z.string(),
  host: z.string().min(1).exactOptional(),
  port: z.int().min(1).max(65_535).exactOptional(),
  listen: z.string().exactOptional(),
});

/** What a device host keeps between its starts: its key and its router, readable by its owner alone. */
export class DeviceFolder {
  readonly keys: KeyPair;
  readonly #folder: string;

  /** Makes the folder (0700) and the key (0600) where they are not there. @throws Error where the key cannot be read */
  constructor(folder: string) {
    this.#folder = folder;
    makeFolder(folder);
    chmodSync(folder, 0o700);
    const file = join(folder, 'device.key');
    if (!existsSync(file)) writeFileSync(file, `${keyText(primitives.random(32))}\n`, { mode: 0o600, flag: 'wx' });
    const secret = readKeyText(readFileSync(file, 'utf8').trim());
    if (secret === undefined) throw new Error(`${file} holds no key: delete it and pair this device again.`);
    this.keys = keyPair(primitives, secret);
  }

  /** The router of the last pairing. */
  get router(): KnownRouter | undefined {
    const file = join(this.#folder, 'router.json');
    if (!existsSync(file)) return undefined;
    const parsed = routerFile.safeParse(readJson(file));
    const key = parsed.success ? readKeyText(parsed.data.key) : undefined;
    return parsed.success && key !== undefined ? { ...parsed.data, key } : undefined;
  }

  /** Other routers of the same owner, as told last. */
  get further(): readonly FurtherRouter[] {
    const file = join(this.#folder, 'routers.json');
    const parsed = existsSync(file) ? furtherFile.safeParse(readJson(file)) : undefined;
    return (parsed?.data ?? []).flatMap(({ key, ...where }) => {
      const read = readKeyText(key);
      return read === undefined ? [] : [{ key: read, ...where }];
    });
  }

  keepFurther(routers: readonly FurtherRouter[]): void {
    const rows = routers.map(({ key, ...where }) => ({ key: keyText(key), ...where }));
    this.#write(JSON.stringify(rows), 'routers.json');
  }

  /** On disk before this returns: a pairing counts for the router only once its key is kept here. */
  keep({ key, ...where }: KnownRouter): void {
    this.#write(JSON.stringify({ key: keyText(key), ...where }));
  }

  /** Only where the router itself said so. */
  forget(): void {
    this.#write('{}');
  }

  #write(text: string, name = 'router.json'): void {
    const file = join(this.#folder, name);
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
