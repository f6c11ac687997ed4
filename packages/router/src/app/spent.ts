import type { Spent } from '../core/identity.ts';
import type { RequestTrace } from '../core/trace.ts';

/**
 * What a key pays for a request: the answer as the backend counted it; where it was cut off, what routing took the
 * prompt for, since that was read.
 */
export function spentBy(
  { usage, attempts, promptTokens }: RequestTrace,
  charged: (attempts: RequestTrace['attempts']) => number,
): Spent {
  const usd = charged(attempts);
  if (usage !== undefined) {
    const { promptTokens: prompt, completionTokens } = usage;
    return { tokens: prompt + completionTokens, usd, completionTokens };
  }
  const wasRead = attempts.some(({ leasedMs }) => leasedMs !== undefined);
  return { tokens: wasRead ? (promptTokens ?? 0) : 0, usd };
}
