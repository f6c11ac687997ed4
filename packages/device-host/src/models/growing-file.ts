import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { errnoOf, ModelError } from './model-error.ts';

/** A file that grows at its end and is hashed as it grows. Resumes what an earlier run left. */
export class GrowingFile {
  readonly #handle: FileHandle;
  #hash: Hash;
  #size: number;

  private constructor(handle: FileHandle, hash: Hash, size: number) {
    this.#handle = handle;
    this.#hash = hash;
    this.#size = size;
  }

  /** Opens or creates; costs one reading of what is already there. The caller closes it. */
  static async open(path: string, signal: AbortSignal): Promise<GrowingFile> {
    const handle = await open(path, 'a+', 0o600);
    try {
      const hash = createHash('sha256');
      let size = 0;
      for await (const chunk of bytesOf(path, signal)) {
        hash.update(chunk);
        size += chunk.length;
      }
      return new GrowingFile(handle, hash, size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  /** @throws ModelError `no_space` */
  async append(chunk: Uint8Array): Promise<void> {
    try {
      await this.#handle.appendFile(chunk);
    } catch (error) {
      if (errnoOf(error) !== 'ENOSPC') throw error;
      throw new ModelError('no_space', 'The disk is full. Make room and run it again; what is there is kept.', {
        cause: error,
      });
    }
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  /** Throws away what is there. */
  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash('sha256');
    this.#size = 0;
  }

  /** Waits until the bytes are on the disk and gives their SHA-256 in hex. Call once, last. */
  async finish(): Promise<string> {
    await this.#handle.sync();
    return this.#hash.digest('hex');
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** A file's bytes in chunks of 1 MiB; ends with the signal's reason when it aborts. */
export async function* bytesOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
  const stream = createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    for await (const chunk of stream) {
      signal.throwIfAborted();
      if (chunk instanceof Uint8Array) yield chunk;
    }
  } finally {
    stream.destroy();
  }
}
