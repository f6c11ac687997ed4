import type { TokenScore } from '../../../core/events.ts';
import { isJsonObject, type JsonValue } from '../../../core/json.ts';

/** Reads `choices[].logprobs`; what is not a number is left out, since a score is never made up. */
export function scoresOf(logprobs: JsonValue | undefined): TokenScore[] {
  if (!isJsonObject(logprobs)) return [];
  const { content } = logprobs;
  if (!Array.isArray(content)) return [];
  return content.flatMap((entry: JsonValue) => {
    const score = scoreOf(entry);
    if (score === undefined || !isJsonObject(entry)) return [];
    const alternatives = entry['top_logprobs'];
    if (!Array.isArray(alternatives) || alternatives.length === 0) return [score];
    return [{ ...score, top: alternatives.flatMap((other: JsonValue) => scoreOf(other) ?? []) }];
  });
}

function scoreOf(entry: JsonValue): TokenScore | undefined {
  if (!isJsonObject(entry)) return undefined;
  const { token, logprob } = entry;
  if (typeof token !== 'string' || typeof logprob !== 'number' || !Number.isFinite(logprob)) return undefined;
  return { token, logprob: Math.min(0, logprob) };
}
