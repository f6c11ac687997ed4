import type { Rows } from './extra-trees.ts';

/** A linear score: `bias + Σ weights · inputs`. */
export interface LinearModel {
  readonly bias: number;
  readonly weights: readonly number[];
}

/**
 * Logistic regression with a ridge on standardised inputs, by Newton's method; the weights come back on the inputs' own
 * scale. `ridge` is the penalty on half the squared weights, in rows.
 */
export function fitLogistic(rows: Rows, ridge: number): LinearModel {
  const scale = standardise(rows);
  const width = scale.means.length;
  let beta: number[] = Array.from({ length: width + 1 }, () => 0);
  for (let round = 0; round < 25; round += 1) {
    const gradient: number[] = beta.map((value, index) => (index === 0 ? 0 : -ridge * value));
    const hessian = beta.map((_, row) => beta.map((__, column) => (row === column && row > 0 ? ridge : 0)));
    for (const [index, input] of scale.inputs.entries()) {
      const p = 1 / (1 + Math.exp(-dot(beta, input)));
      const weight = rows.weights[index] ?? 1;
      accumulate(
        gradient,
        hessian,
        input,
        weight * ((rows.targets[index] ?? 0) - p),
        weight * Math.max(p * (1 - p), 1e-6),
      );
    }
    const step = solve(hessian, gradient);
    beta = beta.map((value, index) => value + (step[index] ?? 0));
    if (step.every((value) => Math.abs(value) < 1e-6)) break;
  }
  return unscaled(beta, scale);
}

/** Least squares with a ridge on standardised inputs. */
export function fitLinear(rows: Rows, ridge: number): LinearModel {
  const scale = standardise(rows);
  const width = scale.means.length + 1;
  const gradient: number[] = Array.from({ length: width }, () => 0);
  const hessian = Array.from({ length: width }, (_, row) =>
    Array.from({ length: width }, (__, column) => (row === column && row > 0 ? ridge : 0)),
  );
  for (const [index, input] of scale.inputs.entries()) {
    const weight = rows.weights[index] ?? 1;
    accumulate(gradient, hessian, input, weight * (rows.targets[index] ?? 0), weight);
  }
  return unscaled(solve(hessian, gradient), scale);
}

interface Scaled {
  /** With a leading 1. */
  readonly inputs: readonly (readonly number[])[];
  readonly means: readonly number[];
  readonly deviations: readonly number[];
}

function standardise(rows: Rows): Scaled {
  const width = rows.inputs[0]?.length ?? 0;
  const total = rows.weights.reduce((sum, weight) => sum + weight, 0);
  const means: number[] = [];
  const deviations: number[] = [];
  for (let column = 0; column < width; column += 1) {
    let sum = 0;
    let squares = 0;
    for (const [index, input] of rows.inputs.entries()) {
      const value = input[column] ?? 0;
      sum += (rows.weights[index] ?? 1) * value;
      squares += (rows.weights[index] ?? 1) * value * value;
    }
    const mean = sum / total;
    means.push(mean);
    deviations.push(Math.sqrt(Math.max(squares / total - mean * mean, 0)) || 1);
  }
  const inputs = rows.inputs.map((input) => [
    1,
    ...input.map((value, column) => (value - (means[column] ?? 0)) / (deviations[column] ?? 1)),
  ]);
  return { inputs, means, deviations };
}

function unscaled(beta: readonly number[], { means, deviations }: Scaled): LinearModel {
  const weights = means.map((_, column) => (beta[column + 1] ?? 0) / (deviations[column] ?? 1));
  const bias = (beta[0] ?? 0) - weights.reduce((sum, weight, column) => sum + weight * (means[column] ?? 0), 0);
  return { bias, weights };
}

function accumulate(
  gradient: number[],
  hessian: number[][],
  input: readonly number[],
  residual: number,
  curvature: number,
): void {
  for (const [row, value] of input.entries()) {
    gradient[row] = (gradient[row] ?? 0) + residual * value;
    const line = hessian[row];
    if (line === undefined || value === 0) continue;
    for (const [column, other] of input.entries()) line[column] = (line[column] ?? 0) + curvature * value * other;
  }
}

/** Gaussian elimination with partial pivots; the matrix is symmetric and positive here. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): readonly number[] {
  const rows = matrix.map((row, index) => [...row, right[index] ?? 0]);
  const size = rows.length;
  for (let column = 0; column < size; column += 1) {
    let pivot = column;
    for (let row = column + 1; row < size; row += 1)
      if (Math.abs(rows[row]?.[column] ?? 0) > Math.abs(rows[pivot]?.[column] ?? 0)) pivot = row;
    [rows[column], rows[pivot]] = [rows[pivot] ?? [], rows[column] ?? []];
    const top = rows[column] ?? [];
    const head = top[column] || 1e-12;
    for (let row = column + 1; row < size; row += 1) {
      const line = rows[row] ?? [];
      const factor = (line[column] ?? 0) / head;
      if (factor === 0) continue;
      for (let index = column; index <= size; index += 1) line[index] = (line[index] ?? 0) - factor * (top[index] ?? 0);
    }
  }
  const result: number[] = Array.from({ length: size }, () => 0);
  for (let row = size - 1; row >= 0; row -= 1) {
    const line = rows[row] ?? [];
    let sum = line[size] ?? 0;
    for (let column = row + 1; column < size; column += 1) sum -= (line[column] ?? 0) * (result[column] ?? 0);
    result[row] = sum / (line[row] || 1e-12);
  }
  return result;
}

function dot(beta: readonly number[], input: readonly number[]): number {
  let sum = 0;
  for (const [index, value] of input.entries()) sum += value * (beta[index] ?? 0);
  return sum;
}
