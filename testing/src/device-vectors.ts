import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';

const folder = join(import.meta.dirname, '../device-protocol');

/** Test vectors of the device protocol, one file by its name; its README says how each is used. */
export function deviceVectors<Schema extends z.ZodType>(name: string, schema: Schema): z.infer<Schema> {
  return schema.parse(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')));
}

/** Bytes written as hex in a vector. */
export const hexBytes = z.string().transform((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));

/** Cuts bytes at pseudo-random places that a seed names (a linear congruential generator). */
export function* randomSplits(bytes: Uint8Array, seed: number): Generator<Uint8Array> {
  let state = seed;
  for (let at = 0; at < bytes.length;) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    const size = state % 7 === 0 ? state % 5000 : 1 + (state % 9);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

/** The ways a stream of bytes is fed to its reader: whole, byte by byte, and cut at random. */
export function deliveries(bytes: Uint8Array): readonly (readonly [string, Iterable<Uint8Array>])[] {
  return [
    ['whole', [bytes]],
    ['byte by byte', singly(bytes)],
    ['cut at random', randomSplits(bytes, bytes.length)],
  ];
}

function* singly(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}
