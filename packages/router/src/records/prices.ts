import { z } from 'zod';
import data from './data/prices.json' with { type: 'json' };
import type { Usage } from '../core/events.ts';

const rate = z.strictObject({
  prompt: z.number().nonnegative(),
  /** Prompt tokens served from a cache. */
  cached: z.number().nonnegative(),
  /** Reasoning included. */
  completion: z.number().nonnegative(),
});

const table = z.strictObject({
  /** Day from which the prices are, as far as is known; providers change them. */
  asOf: z.iso.date(),
  currency: z.literal('USD'),
  perTokens: z.number().positive(),
  models: z.record(
    z.string(),
    rate.extend({
      /** Rates of the whole request once its prompt is longer than this. */
      above: rate.extend({ promptTokens: z.number().int().positive() }).optional(),
    }),
  ),
});

/** List prices by model; data, so that an operator's own table can stand in for it. */
export type PriceTable = z.infer<typeof table>;

/**
 * Reads a price table.
 * @throws ZodError when it is not one
 */
export function readPrices(value: unknown): PriceTable {
  return table.parse(value);
}

/** The prices LFO ships with. Parses the file each time: keep the result. */
export function shippedPrices(): PriceTable {
  return readPrices(data);
}

/** The table with these prices, in US dollars a million tokens, before its own. */
export function withPrices(
  prices: PriceTable,
  own: Readonly<Record<string, { readonly prompt: number; readonly cached: number; readonly completion: number }>>,
): PriceTable {
  const scale = prices.perTokens / 1_000_000;
  const scaled = Object.entries(own).map(
    ([model, { prompt, cached, completion }]): [string, PriceTable['models'][string]] => [
      model,
      { prompt: prompt * scale, cached: cached * scale, completion: completion * scale },
    ],
  );
  return { ...prices, models: { ...prices.models, ...Object.fromEntries(scaled) } };
}

/**
 * Costs of one answer in US dollars; `undefined` for a model without a price, never a guess. A dated or numbered
 * version of a model (`-001`, `-2025-04-14`, `-preview`, `-preview-09-2025`) costs what its model costs.
 */
export function costUsd(prices: PriceTable, model: string, usage: Usage): number | undefined {
  const price = prices.models[pricedName(prices, model) ?? ''];
  if (price === undefined) return undefined;
  const { above } = price;
  const rates = above !== undefined && usage.promptTokens > above.promptTokens ? above : price;
  const cached = Math.min(usage.cachedTokens ?? 0, usage.promptTokens);
  const sum =
    (usage.promptTokens - cached) * rates.prompt + cached * rates.cached + usage.completionTokens * rates.completion;
  return sum / prices.perTokens;
}

/** An operator's price may be of one vendor's (`vendor/model`); list prices are of a model whoever serves it. */
function pricedName(prices: PriceTable, model: string): string | undefined {
  const name = model.slice(model.lastIndexOf('/') + 1);
  return [model, unversioned(model), name, unversioned(name)].find((candidate) =>
    Object.hasOwn(prices.models, candidate),
  );
}

function unversioned(model: string): string {
  return model.replace(/(-preview)?(-\d[\d-]*)?$/, '');
}
