import type { BackendConfig, LfoConfig } from '../config/config.ts';
import { costUsd, shippedPrices, withPrices } from './prices.ts';
import type { Usage } from '../core/events.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';

/** What requests cost, in US dollars; `undefined` wherever a price is not known. */
export interface Costs {
  /** Of all attempts together: what a failed or refused one used is paid for too. Local ones are free. */
  readonly spent: (attempts: readonly AttemptTrace[]) => number | undefined;
  /** What the first cloud model would have asked for an answer that the local tier gave. */
  readonly avoided: (trace: RequestTrace) => number | undefined;
  /** Of an answer of this size at the dearest price that a request for this model may meet; 0 where none is known. */
  readonly most: (model: string, usage: Usage) => number;
}

/** The operator's prices, else list prices; nothing is avoided where there is no cloud to pay. */
export function costsOf({
  backends,
  prices: own = {},
}: Pick<LfoConfig, 'backends'> & Partial<Pick<LfoConfig, 'prices'>>): Costs {
  const prices = withPrices(shippedPrices(), own);
  const cloud = backends.filter(({ tier }) => tier === 'cloud');
  const cloudModel = cloud[0]?.models[0];
  return {
    spent(attempts) {
      let sum = 0;
      for (const { tier, model, usage } of attempts) {
        if (tier === 'local' || usage === undefined) continue;
        const cost = model === undefined ? undefined : costUsd(prices, model, usage);
        if (cost === undefined) return undefined;
        sum += cost;
      }
      return sum;
    },
    avoided({ route, usage, finishReason }) {
      if (route !== 'local' || usage === undefined || finishReason === undefined) return undefined;
      return cloudModel === undefined ? undefined : costUsd(prices, cloudModel, usage);
    },
    most: (model, usage) =>
      Math.max(0, ...modelsBehind(cloud, model).map((reached) => costUsd(prices, reached, usage) ?? 0)),
  };
}

/** The cloud models that may answer: an id reaches its own backends with their fall-backs, any other name all of them. */
function modelsBehind(cloud: readonly BackendConfig[], model: string): readonly string[] {
  const named = cloud.filter(({ models }) => models.includes(model));
  if (named.length === 0) return cloud.flatMap(({ models, fallbackModels }) => [model, ...models, ...fallbackModels]);
  return [model, ...named.flatMap(({ fallbackModels }) => fallbackModels)];
}
