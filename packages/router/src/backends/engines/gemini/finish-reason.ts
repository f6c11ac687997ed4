import type { FinishReason } from '../../../core/events.ts';

/** What Gemini's word for the end means: an end for the client, or an answer that cannot be used. */
export type Ending = FinishReason | 'malformed_call';

const endings: Readonly<Record<string, Ending>> = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'content_filter',
  RECITATION: 'content_filter',
  BLOCKLIST: 'content_filter',
  PROHIBITED_CONTENT: 'content_filter',
  SPII: 'content_filter',
  MODEL_ARMOR: 'content_filter',
  MALFORMED_FUNCTION_CALL: 'malformed_call',
  UNEXPECTED_TOOL_CALL: 'malformed_call',
  TOO_MANY_TOOL_CALLS: 'malformed_call',
};

/** No word at all, as some proxies spell it. */
const unspecified = 'FINISH_REASON_UNSPECIFIED';

/**
 * Words not known yet end an answer like any other, and filter one that has no content. A call seen anywhere turns a
 * plain stop into `tool_calls`.
 */
export function endingOf(native: string, seen: { readonly calls: boolean; readonly content: boolean }): Ending {
  const known = Object.hasOwn(endings, native) ? endings[native] : undefined;
  const isFiltered = native.startsWith('IMAGE_') || (native !== unspecified && !seen.content && !seen.calls);
  const ending = known ?? (isFiltered ? 'content_filter' : 'stop');
  return ending === 'stop' && seen.calls ? 'tool_calls' : ending;
}
