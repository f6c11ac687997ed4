import type { RoutingPolicy } from '../../core/routing.ts';

/** `max_local_tokens` steers `auto`: longer prompts go to the cloud first. */
export const tokenLimitPolicy: RoutingPolicy = {
  name: 'token-limit',
  vote({ promptTokens, limits }) {
    if (promptTokens <= limits.maxLocalTokens) return { type: 'pass' };
    return { type: 'prefer', tier: 'cloud', reason: 'prompt_too_long' };
  },
};
