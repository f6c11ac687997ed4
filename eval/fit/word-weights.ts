import { writeFileSync } from 'node:fs';
import type { JsonObject } from '@lfo/router/src/core/json.ts';
import { stemsOf } from '@lfo/router/src/confidence/features/words.ts';
import { textOf } from '@lfo/router/src/core/request.ts';
import { readCases, text } from '../cases.ts';
import { readLines } from '../reference-data.ts';

/**
 * Learns how much a stem says from questions and declarations, without a label: the inverse document frequency, rounded
 * to halves, of the stems that occur often enough. Words alone leave the data, never a sentence.
 */
export function learnWordWeights(data: URL): JsonObject {
  const cases = [...readCases(new URL('bfcl/', data)).values()];
  const sources = [
    cases.map(({ request }) => request.messages.map(textOf).join(' ')),
    cases.flatMap(({ request }) => request.tools.map(({ name, description }) => `${name} ${description ?? ''}`)),
    readLines(new URL('zeroeval/questions.jsonl.gz', data)).map((row) => text(row['question'])),
    readLines(new URL('mmlu-pro/questions.jsonl.gz', data)).map((row) => text(row['question'])),
  ];
  // Each source counts alike, however many documents it has.
  const shares = new Map<string, { share: number; documents: number }>();
  for (const source of sources) {
    for (const document of source) {
      for (const stem of new Set(stemsOf(document))) {
        const seen = shares.get(stem) ?? { share: 0, documents: 0 };
        seen.share += 1 / source.length / sources.length;
        seen.documents += 1;
        shares.set(stem, seen);
      }
    }
  }
  const groups = new Map<string, string[]>();
  for (const [stem, { share, documents }] of shares) {
    if (documents < leastDocuments) continue;
    const weight = Math.min(mostWeight, Math.round(-Math.log(share) * 2) / 2);
    if (weight >= mostWeight) continue;
    const group = groups.get(String(weight)) ?? [];
    group.push(stem);
    groups.set(String(weight), group);
  }
  const weights = [...groups]
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([weight, stems]) => [weight, stems.toSorted().join(' ')] as const);
  return { most: mostWeight, weights: Object.fromEntries(weights) };
}

/** Writes the list as it ships. */
export function writeWordWeights(file: URL, weights: JsonObject): void {
  writeFileSync(file, `${JSON.stringify(weights, undefined, 2)}\n`);
}

const leastDocuments = 5;
const mostWeight = 8;
