import type { BackendConfig, LfoConfig } from '../config/config.ts';
import type { ConfigHandle } from '../config/handle.ts';
import { costUsd, shippedPrices, withPrices } from './prices.ts';
import type { Usage } from '../core/events.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';

/** What requests cost, in US dollars; `undefined` wherever a price is not known. */
export interface Costs {
  /** Of all attempts together: what a failed or refused one used is paid for too. Local ones are free. */
  readonly spent: (attempts: readonly AttemptTrace[]) => number | undefined;
  /** What the first cloud model would have asked for an answer that the local tier gave. */
  readonly avoided: (trace: RequestTrace) => number | undefined;
  /** What limits count: as `spent`, but a model without a price is taken for the dearest one that has a price. */
  readonly charged: (attempts: readonly AttemptTrace[]) => number;
  /** Of an answer of this size at the dearest price that a request for this model may meet. */
  readonly most: (model: string, usage: Usage) => MostUsd;
}

export interface MostUsd {
  readonly usd: number;
  /** A model without a price that the request may meet; it is taken for the dearest one that has a price. */
  readonly unpriced: string | undefined;
}

/** The operator's prices, else list prices; nothing is avoided where there is no cloud to pay. */
export function costsOf({
  backends,
  prices: own = {},
}: Pick<LfoConfig, 'backends'> & Partial<Pick<LfoConfig, 'prices'>>): Costs {
  const prices = withPrices(shippedPrices(), own);
  const cloud = backends.filter(({ tier }) => tier === 'cloud');
  const cloudModel = cloud[0]?.models[0];
  const dearest = (usage: Usage): number =>
    Math.max(0, ...Object.keys(prices.models).map((model) => costUsd(prices, model, usage) ?? 0));
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
    charged: (attempts) =>
      attempts
        .filter(({ tier }) => tier === 'cloud')
        .reduce((sum, { model = '', usage }) => {
          return usage === undefined ? sum : sum + (costUsd(prices, model, usage) ?? dearest(usage));
        }, 0),
    most(model, usage) {
      const reached = modelsBehind(cloud, model);
      const costs = reached.map((id) => costUsd(prices, id, usage));
      const unpriced = reached[costs.indexOf(undefined)];
      return { usd: Math.max(0, ...costs.map((cost) => cost ?? dearest(usage))), unpriced };
    },
  };
}

/** The costs by the configuration in force, whichever that is when they are asked for. */
export function costsInForce(config: ConfigHandle): Costs {
  let seen = config.current();
  let costs = costsOf(seen);
  const current = (): Costs => {
    const now = config.current();
    if (now !== seen) {
      seen = now;
      costs = costsOf(now);
    }
    return costs;
  };
  return {
    spent: (attempts) => current().spent(attempts),
    avoided: (trace) => current().avoided(trace),
    charged: (attempts) => current().charged(attempts),
    most: (model, usage) => current().most(model, usage),
  };
}

/**
 * The cloud models that may answer: an id reaches its own backends with their fall-backs, any other name all of them. A
 * name that no backend lists may still be one of a server whose list is its own.
 */
function modelsBehind(cloud: readonly BackendConfig[], model: string): readonly string[] {
  const named = cloud.filter(({ models }) => models.includes(model));
  if (named.length > 0) return [model, ...named.flatMap(({ fallbackModels }) => fallbackModels)];
  const own = cloud.some(({ models }) => models.length === 0) ? [model] : [];
  return [...own, ...cloud.flatMap(({ models, fallbackModels }) => [...models, ...fallbackModels])];
}
