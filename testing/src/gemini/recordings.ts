import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

import { referenceData, withoutReferenceData } from '../reference-data.ts';
import type { Script } from '../upstream/exchange.ts';

const folder = join(referenceData, 'gemini-recordings');

const recording = z.object({
  interactions: z.array(
    z.object({
      request: z.object({ url: z.string() }),
      response: z.object({
        statusCode: z.number(),
        headers: z.record(z.string(), z.unknown()),
        bodySegments: z.array(z.unknown()).optional(),
      }),
    }),
  ),
});

/** One answer of Gemini as it was recorded. */
export interface Recorded {
  readonly name: string;
  readonly model: string;
  readonly isStreamed: boolean;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Its chunks, the one body where it was unary. */
  readonly chunks: readonly unknown[];
}

/** All recorded answers of models; empty where the reference data is not beside this checkout. */
export function geminiRecordings(): readonly Recorded[] {
  return withoutReferenceData === false ? [...sdkRecordings(), ...fixtureRecordings()] : [];
}

/** Answers calls of models with a recorded answer, its bytes in these pieces, and has no list of models. */
export function replayIn(pieces: readonly Uint8Array[], { status, contentType }: Recorded): Script {
  return async (exchange) => {
    if (exchange.request.method === 'GET') return exchange.json(404, {});
    exchange.head(status, { 'content-type': contentType });
    for (const piece of pieces) {
      await exchange.write(piece);
      // A turn of the loop, so that pieces leave one by one; for thousands of single bytes that would take minutes.
      if (pieces.length < 100) await new Promise((resolve) => setImmediate(resolve));
    }
    return exchange.finish();
  };
}

/** The ways a body may be cut: whole, twice at seeded random places, byte by byte (its first 6,000 bytes). */
export function waysToCut(body: string): readonly (readonly Uint8Array[])[] {
  const bytes = Buffer.from(body);
  const singles = Array.from(bytes.subarray(0, 6_000), (byte) => Buffer.of(byte));
  return [[bytes], randomSplits(bytes, 7), randomSplits(bytes, 8), [...singles, bytes.subarray(6_000)]];
}

function sdkRecordings(): Recorded[] {
  const files = readdirSync(join(folder, 'js-genai')).filter((file) => file.endsWith('.json'));
  return files.flatMap((file) => {
    const { interactions } = recording.parse(JSON.parse(readFileSync(join(folder, 'js-genai', file), 'utf8')));
    return interactions.flatMap(({ request, response }, index) => {
      const called = /\/models\/([^:]+):(\w*[gG]enerateContent)/.exec(request.url);
      const segments = response.bodySegments;
      if (called === null || segments === undefined) return [];
      const isStreamed = called[2] === 'streamGenerateContent';
      const body = isStreamed && response.statusCode === 200 ? asStream(segments) : JSON.stringify(segments[0]);
      const contentType = String(response.headers['Content-Type']);
      const name = `${file.slice(0, 120)} #${index}`;
      return [
        { name, model: called[1] ?? '', isStreamed, status: response.statusCode, contentType, body, chunks: segments },
      ];
    });
  });
}

function fixtureRecordings(): Recorded[] {
  return readdirSync(join(folder, 'ai-sdk')).map((name) => {
    const text = readFileSync(join(folder, 'ai-sdk', name), 'utf8');
    const isStreamed = name.endsWith('.chunks.txt');
    const chunks: unknown[] = isStreamed
      ? text
          .split('\n')
          .filter((line) => line !== '')
          .map((line): unknown => JSON.parse(line))
      : [JSON.parse(text)];
    const status = name.includes('429') ? 429 : 200;
    const contentType = isStreamed ? 'text/event-stream' : 'application/json';
    const body = isStreamed ? asStream(chunks) : text;
    return { name, model: 'gemini-3-pro-preview', isStreamed, status, contentType, body, chunks };
  });
}

function asStream(chunks: readonly unknown[]): string {
  return chunks.map((value) => `data: ${JSON.stringify(value)}\r\n\r\n`).join('');
}

function randomSplits(bytes: Buffer, seed: number): Buffer[] {
  let state = seed;
  const next = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
  const cuts = Array.from({ length: 20 }, () => Math.floor(next() * bytes.length)).toSorted((a, b) => a - b);
  return [0, ...cuts]
    .map((from, index) => bytes.subarray(from, cuts[index] ?? bytes.length))
    .filter(({ length }) => length > 0);
}
