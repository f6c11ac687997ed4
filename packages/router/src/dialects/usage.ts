import type { Usage } from '../core/events.ts';

/** Token counts on the wire; integers whatever a backend said. */
export function wireUsage(usage: Usage) {
  const prompt = count(usage.promptTokens);
  const completion = count(usage.completionTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: count(usage.cachedTokens) },
    completion_tokens_details: { reasoning_tokens: count(usage.reasoningTokens) },
  };
}

/** Whether the counts are our own estimate or had to be corrected. */
export function isEstimated(usage: Usage): boolean {
  const { promptTokens, completionTokens } = usage;
  return (
    usage.estimated === true || count(promptTokens) !== promptTokens || count(completionTokens) !== completionTokens
  );
}

/** A count on the wire: an integer whatever a backend said. */
export function count(value: number | undefined): number {
  return value !== undefined && Number.isFinite(value) && value > 0
    ? Math.min(Math.round(value), Number.MAX_SAFE_INTEGER)
    : 0;
}
