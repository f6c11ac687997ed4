import { z } from 'zod';

/** How far a model is; `total` 0 means unknown. Both counts are bytes. */
export const modelProgress = z.object({
  phase: z.enum(['download', 'verify']),
  done: z.number(),
  total: z.number(),
  /** Name of the model. */
  what: z.string(),
});

export type ModelProgress = Readonly<z.infer<typeof modelProgress>>;

/** Told often; must be quick and not throw. */
export type OnProgress = (progress: ModelProgress) => void;
