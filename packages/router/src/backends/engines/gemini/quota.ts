import type { GoogleError } from './wire.ts';

/** How long a spent quota lasts. */
export interface QuotaLimit {
  readonly delayMs: number;
  readonly isDaily: boolean;
  /** Only this model's quota is spent. */
  readonly isPerModel: boolean;
}

/** Without any word from Gemini: its shortest window is a minute. */
const defaultDelayMs = 60_000;

/**
 * Reads how long to leave a key alone: a daily quota until its reset, else `RetryInfo`, `quotaResetDelay`, the message
 * ("Please retry in 34.4s") and at last a header.
 */
export function quotaDelay(error: GoogleError, retryAfter: string | undefined, wallMs: number): QuotaLimit {
  const details = error.details ?? [];
  const quotas = details.flatMap(({ violations }) => (Array.isArray(violations) ? violations : [])).map(quotaName);
  const isDaily = quotas.some((name) => /PerDay/i.test(name));
  const isPerModel = quotas.length > 0 && quotas.every((name) => /PerModel/i.test(name));
  const told = [
    ...details.map(({ retryDelay }) => seconds(retryDelay)),
    ...details.map(({ metadata }) => seconds(field(metadata, 'quotaResetDelay'))),
    seconds(/retry in ([\dhms.]+?s)\b/i.exec(error.message ?? '')?.[1]),
    seconds(retryAfter === undefined ? undefined : `${retryAfter}s`),
  ].find((delayMs) => delayMs !== undefined);
  const resetMs = isDaily ? untilPacificMidnight(wallMs) : 0;
  return { delayMs: Math.max(told ?? (isDaily ? 0 : defaultDelayMs), resetMs), isDaily, isPerModel };
}

function quotaName(violation: unknown): string {
  const id = field(violation, 'quotaId');
  return typeof id === 'string' ? id : '';
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

/** "34.4s", "1h2m3s" or "470ms" in milliseconds. */
function seconds(duration: unknown): number | undefined {
  if (typeof duration !== 'string') return undefined;
  const match = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/.exec(duration.trim());
  if (match === null || duration.trim() === '') return undefined;
  const [, hours = '0', minutes = '0', whole = '0', milliseconds = '0'] = match;
  return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(whole) * 1_000 + Number(milliseconds);
}

/** Daily quotas are reset at midnight, Pacific time (Gemini API, rate limits). */
function untilPacificMidnight(wallMs: number): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: 'America/Los_Angeles',
    hourCycle: 'h23',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  }).formatToParts(wallMs);
  const part = (type: string): number => Number(parts.find((other) => other.type === type)?.value ?? 0);
  return 86_400_000 - ((part('hour') * 60 + part('minute')) * 60 + part('second')) * 1_000;
}
