import * as z from 'zod';

/** What the parent tells the child it starts: JSON in its first argument. */
export const childOptions = z.strictObject({
  /** Catalogue name, path of a GGUF file, or `hf:owner/repo/file`. */
  model: z.string().min(1),
  modelsDir: z.string().min(1),
  contextTokens: z.number().int().positive(),
  slots: z.number().int().positive(),
  threads: z.number().int().positive().optional(),
  gpu: z.enum(['auto', 'none']),
  /** No model is fetched. */
  offline: z.boolean(),
  modelBaseUrl: z.string().optional(),
  /** `scripted` answers from a script and needs no model: for tests of what surrounds the engine. */
  engine: z.enum(['llama', 'scripted']).default('llama'),
  scripted: z.object({ partMs: z.number(), loadMs: z.number(), words: z.number().int() }).partial().default({}),
});

export type ChildOptions = Readonly<z.infer<typeof childOptions>>;
