import type { Tree } from '../heads/head.ts';

/** Rows to learn from: inputs in one order, targets 0..1, weights above 0. */
export interface Rows {
  readonly inputs: readonly (readonly number[])[];
  readonly targets: readonly number[];
  readonly weights: readonly number[];
}

export interface ForestOptions {
  readonly trees: number;
  /** Least weight of a leaf. */
  readonly leaf: number;
  /** Share of the features tried at a split. */
  readonly tried: number;
  readonly random: () => number;
}

interface Growing {
  readonly feature: number[];
  readonly value: number[];
  readonly right: number[];
}

/**
 * Extremely randomised trees (Geurts, Ernst, Wehenkel 2006): each split tries a few features, one threshold each drawn
 * uniformly within the node's range, and keeps the one that lowers the squared error most. No bootstrap.
 */
export function growForest(rows: Rows, options: ForestOptions): readonly Tree[] {
  const all = rows.targets.map((_target, index) => index);
  return Array.from({ length: options.trees }, () => {
    const tree: Growing = { feature: [], value: [], right: [] };
    grow(tree, rows, all, options);
    return tree;
  });
}

function grow(tree: Growing, rows: Rows, members: readonly number[], options: ForestOptions): void {
  const node = tree.feature.length;
  const split = bestSplit(rows, members, options);
  tree.feature.push(split?.feature ?? -1);
  tree.value.push(split?.threshold ?? meanOf(rows, members));
  tree.right.push(0);
  if (split === undefined) return;
  grow(tree, rows, split.left, options);
  tree.right[node] = tree.feature.length;
  grow(tree, rows, split.right, options);
}

interface Split {
  readonly feature: number;
  readonly threshold: number;
  readonly left: readonly number[];
  readonly right: readonly number[];
  readonly gain: number;
}

function bestSplit(rows: Rows, members: readonly number[], options: ForestOptions): Split | undefined {
  const total = weightOf(rows, members);
  const mean = meanOf(rows, members);
  if (total < 2 * options.leaf || mean < 1e-9 || mean > 1 - 1e-9) return undefined;
  let best: Split | undefined;
  const width = rows.inputs[0]?.length ?? 0;
  let left = Math.max(1, Math.round(width * options.tried));
  // Features that are constant in the node do not count as tried.
  for (const feature of shuffled(width, options.random)) {
    if (left === 0) break;
    let low = Infinity;
    let high = -Infinity;
    for (const member of members) {
      const input = rows.inputs[member]?.[feature] ?? 0;
      if (input < low) low = input;
      if (input > high) high = input;
    }
    if (high <= low) continue;
    left -= 1;
    const split = splitAt(rows, members, feature, low + options.random() * (high - low), options.leaf);
    if (split !== undefined && split.gain > (best?.gain ?? 0)) best = split;
  }
  return best;
}

function splitAt(
  rows: Rows,
  members: readonly number[],
  feature: number,
  threshold: number,
  leaf: number,
): Split | undefined {
  const rounded = Number(threshold.toPrecision(3));
  const left: number[] = [];
  const right: number[] = [];
  for (const member of members) ((rows.inputs[member]?.[feature] ?? 0) <= rounded ? left : right).push(member);
  const [leftWeight, rightWeight] = [weightOf(rows, left), weightOf(rows, right)];
  if (leftWeight < leaf || rightWeight < leaf) return undefined;
  const difference = meanOf(rows, left) - meanOf(rows, right);
  return {
    feature,
    threshold: rounded,
    left,
    right,
    gain: (leftWeight * rightWeight * difference ** 2) / (leftWeight + rightWeight),
  };
}

function shuffled(length: number, random: () => number): readonly number[] {
  const order = Array.from({ length }, (_, index) => index);
  for (let index = length - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
  }
  return order;
}

function weightOf(rows: Rows, members: readonly number[]): number {
  let sum = 0;
  for (const member of members) sum += rows.weights[member] ?? 1;
  return sum;
}

function meanOf(rows: Rows, members: readonly number[]): number {
  let sum = 0;
  let weights = 0;
  for (const member of members) {
    const weight = rows.weights[member] ?? 1;
    sum += weight * (rows.targets[member] ?? 0);
    weights += weight;
  }
  return weights === 0 ? 0 : sum / weights;
}
