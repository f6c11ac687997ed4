import type { Sampling } from '../core/request.ts';

export type Effort = NonNullable<Sampling['reasoningEffort']>;

/** What a number of thinking tokens asks for; 0 is none at all. */
export function effortOfBudget(tokens: number): Effort {
  if (tokens === 0) return 'none';
  if (tokens < 4096) return 'low';
  return tokens < 16_384 ? 'medium' : 'high';
}
