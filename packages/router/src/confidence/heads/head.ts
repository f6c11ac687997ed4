import type { Features } from '../features/features.ts';

/** One fitted model of a head. It applies to answers that have all its features. */
export interface HeadModel {
  /** Names of its inputs, in the order of its tables. */
  readonly features: readonly string[];
  /** Ridge logistic regression on the features as they are. */
  readonly linear: { readonly bias: number; readonly weights: readonly number[] };
  /** Extremely randomised trees; none where too few rows were there. */
  readonly trees: readonly Tree[];
  /**
   * The logit is multiplied by `scale`, then `shift` is added: doubts are sharpened and moved from the share of positives
   * in the fit to the one expected in use. 1 and 0 change nothing.
   */
  readonly scale: number;
  readonly shift: number;
}

/** A binary tree, nodes in pre-order: the left child of a split follows it. */
export interface Tree {
  /** Index of the feature a node splits on; −1 marks a leaf. */
  readonly feature: readonly number[];
  /** Threshold of a split (left below or equal), probability of a leaf. */
  readonly value: readonly number[];
  /** Index of the right child; 0 for leaves. */
  readonly right: readonly number[];
}

/** Models of one head, the one with the most inputs first: without scores or comparable words a later one applies. */
export type Head = readonly HeadModel[];

/** Probability 0..1 by the first model whose features are all there; undefined where none applies. */
export function probabilityOf(head: Head, features: Features): number | undefined {
  const model = head.find(({ features: names }) => names.every((name) => name in features));
  return model === undefined
    ? undefined
    : applyModel(
        model,
        model.features.map((name) => features[name] ?? 0),
      );
}

/** Probability 0..1 of one model, inputs in its order: the mean of trees and linear part, scaled and moved. */
export function applyModel(model: HeadModel, inputs: readonly number[]): number {
  const { bias, weights } = model.linear;
  const linear = logistic(inputs.reduce((sum, input, index) => sum + input * (weights[index] ?? 0), bias));
  const mean =
    model.trees.length === 0
      ? linear
      : (linear + model.trees.reduce((sum, tree) => sum + leafOf(tree, inputs), 0) / model.trees.length) / 2;
  return model.shift === 0 && model.scale === 1 ? mean : logistic(logit(mean) * model.scale + model.shift);
}

/** 1 / (1 + e^−x). */
export function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** ln(p / (1 − p)), p kept within .001 and .999. */
export function logit(p: number): number {
  const kept = Math.min(Math.max(p, 0.001), 0.999);
  return Math.log(kept / (1 - kept));
}

function leafOf(tree: Tree, inputs: readonly number[]): number {
  let node = 0;
  for (let feature = tree.feature[0] ?? -1; feature >= 0; feature = tree.feature[node] ?? -1) {
    node = (inputs[feature] ?? 0) <= (tree.value[node] ?? 0) ? node + 1 : (tree.right[node] ?? 0);
  }
  return tree.value[node] ?? 0;
}
