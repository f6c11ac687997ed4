/** Names of the shipped catalogue, which mean the same model wherever they are offered. */
export const shippedModels = [
  'qwen2.5-coder-0.5b',
  'qwen2.5-coder-1.5b',
  'smollm2-135m',
  'gemma3-270m',
  'functiongemma-270m',
  'all-minilm-l6-v2',
] as const;

export type ShippedModel = (typeof shippedModels)[number];
