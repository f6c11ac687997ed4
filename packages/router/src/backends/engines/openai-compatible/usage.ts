import type { Usage } from '../../../core/events.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../../core/json.ts';

/** Reads a usage object; `undefined` when either count is missing or is no finite non-negative number. */
export function usageOf(value: JsonValue | undefined): Usage | undefined {
  if (!isJsonObject(value)) return undefined;
  const promptTokens = count(value['prompt_tokens']);
  const completionTokens = count(value['completion_tokens']);
  if (promptTokens === undefined || completionTokens === undefined) return undefined;
  const reasoningTokens = count(details(value, 'completion_tokens_details')['reasoning_tokens']);
  const cachedTokens = count(details(value, 'prompt_tokens_details')['cached_tokens']);
  return {
    promptTokens,
    completionTokens,
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
  };
}

function details(usage: JsonObject, name: string): JsonObject {
  const value = usage[name];
  return isJsonObject(value) ? value : {};
}

function count(value: JsonValue | undefined): number | undefined {
  // JSON has no NaN, but 1e400 reads as Infinity.
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.floor(value) : undefined;
}
