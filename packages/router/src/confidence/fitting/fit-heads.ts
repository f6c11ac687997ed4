import type { Features } from '../features/features.ts';
import { logit, type Head, type HeadModel } from '../heads/head.ts';
import type { Heads } from '../heads/score.ts';
import { growForest, type Rows } from './extra-trees.ts';
import { seededRandom } from './random.ts';
import { fitLogistic } from './ridge.ts';

/** One row of a head: its features, whether it is positive, and how much it counts. */
export interface HeadRow {
  readonly features: Features;
  readonly target: number;
  readonly weight: number;
}

/** How a head is fitted. */
export interface HeadRecipe {
  /** Inputs of its models, the fullest first. */
  readonly inputs: readonly (readonly string[])[];
  readonly trees: number;
  readonly leaf: number;
  readonly ridge: number;
  /** Share of positives expected in use; absent: that of the rows. */
  readonly prior?: number;
  /** Factor of the logit around the rows' own share; absent: 1. */
  readonly sharpness?: number;
}

/** The recipes of all heads. */
export type Recipes = Readonly<Record<keyof Heads, HeadRecipe>>;

const valueNats = ['call_nats', 'value_nats', 'worst_unsupported', 'worst_after_value'] as const;
const valueSigns = ['least_support', 'optional_unsaid', 'off_form', 'misread'] as const;
const fitNats = ['decision_nats', 'all_nats', 'worst_value'] as const;
const fitSupport = ['said', 'required_said', 'any_unsupported'] as const;
const fitWords = ['heaviest_shared', 'grams_shared'] as const;
const restWords = ['unexplained', 'worst_clause', 'for_other_tools'] as const;
const restEntities = ['entities_left', 'listed_left', 'asks_twice'] as const;

/** As shipped. Eight features a head or fewer, none that counts words or measures length. */
export const shippedRecipes: Recipes = {
  values: { inputs: [[...valueNats, ...valueSigns], valueSigns], trees: 60, leaf: 6, ridge: 4 },
  noToolFits: {
    inputs: [
      [...fitNats, ...fitSupport, ...fitWords],
      [...fitSupport, ...fitWords],
      [...fitNats, ...fitSupport],
      fitSupport,
    ],
    trees: 60,
    leaf: 6,
    ridge: 4,
    prior: 0.1,
    sharpness: 1.5,
  },
  moreCalls: {
    inputs: [
      ['stop_nats', ...restWords, ...restEntities],
      [...restWords, ...restEntities],
      ['stop_nats', ...restEntities],
      restEntities,
    ],
    trees: 60,
    leaf: 6,
    ridge: 4,
    prior: 0.1,
    sharpness: 1.5,
  },
  noCall: {
    inputs: [['best_heaviest', 'best_grams'], ['opening_nats'], []],
    trees: 0,
    leaf: 6,
    ridge: 4,
    prior: 0.75,
  },
  text: { inputs: [['opening_nats']], trees: 0, leaf: 6, ridge: 1 },
  request: { inputs: [['best_heaviest', 'best_grams', 'asks_several']], trees: 0, leaf: 6, ridge: 4 },
};

/** Fits one head: for each list of inputs trees and a linear part, averaged when applied. */
export function fitHead(rows: readonly HeadRow[], recipe: HeadRecipe, seed: number): Head {
  return recipe.inputs.flatMap((names, index) => fitModel(rows, names, recipe, seed + index) ?? []);
}

function fitModel(
  rows: readonly HeadRow[],
  names: readonly string[],
  recipe: HeadRecipe,
  seed: number,
): HeadModel | undefined {
  const usable = rows.filter(({ features }) => names.every((name) => name in features));
  const positive = usable.reduce((sum, { target, weight }) => sum + target * weight, 0);
  const total = usable.reduce((sum, { weight }) => sum + weight, 0);
  if (total < 20 || positive <= 0 || positive >= total) return undefined;
  const data: Rows = {
    inputs: usable.map(({ features }) => names.map((name) => features[name] ?? 0)),
    targets: usable.map(({ target }) => target),
    weights: usable.map(({ weight }) => weight),
  };
  const share = positive / total;
  const scale = recipe.sharpness ?? 1;
  return {
    features: names,
    linear: fitLogistic(data, recipe.ridge),
    trees:
      recipe.trees === 0
        ? []
        : growForest(data, { trees: recipe.trees, leaf: recipe.leaf, tried: 0.34, random: seededRandom(seed) }),
    scale,
    shift: recipe.prior === undefined ? logit(share) * (1 - scale) : logit(recipe.prior) - logit(share) * scale,
  };
}

/** Rows of all heads. */
export type HeadRows = Record<keyof Heads, HeadRow[]>;

/** Fits all heads. */
export function fitHeads(rows: HeadRows, recipes: Recipes, seed: number): Heads {
  return {
    values: fitHead(rows.values, recipes.values, seed),
    noToolFits: fitHead(rows.noToolFits, recipes.noToolFits, seed + 10),
    moreCalls: fitHead(rows.moreCalls, recipes.moreCalls, seed + 20),
    noCall: fitHead(rows.noCall, recipes.noCall, seed + 30),
    text: fitHead(rows.text, recipes.text, seed + 40),
    request: fitHead(rows.request, recipes.request, seed + 50),
  };
}

/** No rows yet. */
export function emptyRows(): HeadRows {
  return { values: [], noToolFits: [], moreCalls: [], noCall: [], text: [], request: [] };
}
