import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { errnoOf, ModelError } from './model-error.ts';
import { blockOf, quantNames } from './gguf-types.ts';

/** What the head of a GGUF file says. */
export interface GgufFacts {
  /** `qwen2`, `llama` … */
  readonly architecture: string;
  /** `Q4_K_M` … */
  readonly quant?: string;
  /** Tokens the model was trained on. */
  readonly contextTokens?: number;
}

const firstLook = 1 << 20;
/** The largest vocabularies take 10 to 20 MB. */
const largestHead = 1 << 28;

/**
 * Reads a file's head (some MB, for the vocabulary lies there) and checks that no tensor is cut off.
 * Layout: the GGUF specification of ggml, version 3 and 2.
 * @throws ModelError `missing`, `not_gguf` or `truncated`
 */
export async function inspectGguf(path: string): Promise<GgufFacts> {
  const handle = await open(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new ModelError('missing', `${basename(path)} is a folder. Name the .gguf file in it.`);
    for (let length = firstLook; ; length *= 4) {
      const head = Buffer.alloc(Math.min(length, stats.size));
      await handle.read(head, 0, head.length, 0);
      if (head.toString('latin1', 0, 4) !== 'GGUF') throw notGguf(path);
      const result = readHead(head);
      if (result === 'more') {
        if (head.length === stats.size || length > largestHead) throw truncated(path);
        continue;
      }
      if (stats.size < result.endBytes) throw truncated(path);
      return result.facts;
    }
  } catch (error) {
    if (error instanceof BrokenHead) throw notGguf(path);
    throw error;
  } finally {
    await handle.close();
  }
}

function unreadable(path: string, error: unknown): unknown {
  const name = basename(path);
  const hint = 'Check the path, or give a name of the catalogue ("lfo models list").';
  if (errnoOf(error) === 'ENOENT') return new ModelError('missing', `There is no model file ${name}. ${hint}`);
  if (errnoOf(error) === 'EACCES')
    return new ModelError('missing', `The model file ${name} may not be read. Change its mode.`);
  return error;
}

function notGguf(path: string): ModelError {
  return new ModelError('not_gguf', `${basename(path)} is not a GGUF model that can be read. Choose a .gguf file.`);
}

function truncated(path: string): ModelError {
  return new ModelError('truncated', `${basename(path)} is incomplete. Copy or download it again.`);
}

function readHead(head: Buffer): { readonly facts: GgufFacts; readonly endBytes: number } | 'more' {
  const cursor = new Cursor(head);
  try {
    cursor.skip(4);
    const version = cursor.u32();
    if (version !== 2 && version !== 3) throw new BrokenHead();
    const tensors = cursor.u64();
    const values = readValues(cursor, cursor.u64());
    return { facts: factsOf(values), endBytes: endOfTensors(cursor, tensors, values) };
  } catch (error) {
    if (error instanceof EndOfHead) return 'more';
    throw error;
  }
}

type Values = ReadonlyMap<string, string | number>;

function readValues(cursor: Cursor, count: number): Values {
  const values = new Map<string, string | number>();
  for (let index = 0; index < count; index++) {
    const key = cursor.text();
    const value = cursor.value(cursor.u32());
    if (value !== undefined) values.set(key, value);
  }
  return values;
}

function factsOf(values: Values): GgufFacts {
  const architecture = values.get('general.architecture');
  if (typeof architecture !== 'string') throw new BrokenHead();
  const fileType = values.get('general.file_type');
  const quant = typeof fileType === 'number' ? quantNames.get(fileType) : undefined;
  const context = values.get(`${architecture}.context_length`);
  return {
    architecture,
    ...(quant === undefined ? {} : { quant }),
    ...(typeof context === 'number' ? { contextTokens: context } : {}),
  };
}

/** Where the last tensor ends; tensors of a type we do not know count as empty. */
function endOfTensors(cursor: Cursor, count: number, values: Values): number {
  let end = 0;
  for (let index = 0; index < count; index++) {
    cursor.text();
    const dimensions = cursor.u32();
    let elements = 1;
    for (let dimension = 0; dimension < dimensions; dimension++) elements *= cursor.u64();
    const block = blockOf.get(cursor.u32());
    const bytes = block === undefined ? 0 : (elements / block.elements) * block.bytes;
    end = Math.max(end, cursor.u64() + bytes);
  }
  const alignment = values.get('general.alignment');
  const step = typeof alignment === 'number' && alignment > 0 ? alignment : 32;
  return Math.ceil(cursor.offset / step) * step + end;
}

/** Walks over the head; past its end it throws `EndOfHead`. All numbers are little-endian. */
class Cursor {
  offset = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Moves on and gives where it was. */
  skip(count: number): number {
    const at = this.offset;
    if (at + count > this.#bytes.length) throw new EndOfHead();
    this.offset += count;
    return at;
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.skip(4));
  }

  u64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.skip(8)));
  }

  text(): string {
    const length = this.u64();
    const at = this.skip(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** A value of a type of the specification; integers, texts and floats of 32 bits are given, the rest is passed over. */
  value(type: number): string | number | undefined {
    if (type === 4) return this.u32();
    if (type === 5) return this.#bytes.readInt32LE(this.skip(4));
    if (type === 8) return this.text();
    if (type === 10) return this.u64();
    if (type === 9) this.#passArray();
    else this.skip(widthOf(type));
    return undefined;
  }

  #passArray(): void {
    const type = this.u32();
    const count = this.u64();
    if (type === 8) for (let index = 0; index < count; index++) this.skip(this.u64());
    else if (type === 9) throw new BrokenHead();
    else this.skip(widthOf(type) * count);
  }
}

/** Bytes of a value of fixed size. */
function widthOf(type: number): number {
  const width = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8][type];
  if (width === undefined) throw new BrokenHead();
  return width;
}

class EndOfHead extends Error {}
class BrokenHead extends Error {}
