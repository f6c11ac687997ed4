import { isJsonObject, type JsonValue } from '../../core/json.ts';

/** How much a stem says: the inverse document frequency over questions and declarations. */
export interface WordWeights {
  /** The largest weight there is, that of words never seen. */
  readonly most: number;
  of(stem: string): number;
}

/**
 * Reads `{most, weights: {"2.5": "stem stem …"}}`, stems grouped by rounded weight.
 *
 * @throws TypeError when the value has another shape.
 */
export function readWordWeights(value: JsonValue): WordWeights {
  if (!isJsonObject(value) || typeof value['most'] !== 'number' || !isJsonObject(value['weights']))
    throw new TypeError('A list of word weights needs "most" and "weights".');
  const { most } = value;
  const weights = new Map<string, number>();
  for (const [weight, stems] of Object.entries(value['weights']))
    if (typeof stems === 'string') for (const stem of stems.split(' ')) weights.set(stem, Number(weight));
  return { most, of: (stem) => weights.get(stem) ?? most };
}
