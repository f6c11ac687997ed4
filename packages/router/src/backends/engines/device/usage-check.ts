import type { DeviceMessage, MessageOf } from '@lfo/protocol';

/** What is known here of a request and its answer. */
export interface Exchanged {
  readonly requestBytes: number;
  readonly messages: number;
  /** Text, reasoning, names and arguments in UTF-8. */
  readonly answerBytes: number;
  readonly calls: number;
}

/** Counts of a device that can be; one that cannot is absent. */
export interface CheckedUsage {
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  readonly cachedTokens?: number;
}

/** A token takes a byte of its text at least; what frames texts and calls is allowed for. */
export function checkUsage(
  said: MessageOf<DeviceMessage, 'done'>['usage'],
  { requestBytes, messages, answerBytes, calls }: Exchanged,
): CheckedUsage {
  const promptTokens = upTo(said?.prompt_tokens, requestBytes + 64 * messages + 4096);
  const completionTokens = upTo(said?.completion_tokens, answerBytes + 16 * calls + 16);
  const cachedTokens = promptTokens === undefined ? undefined : upTo(said?.cached_tokens, promptTokens);
  return {
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(completionTokens === undefined ? {} : { completionTokens }),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
  };
}

function upTo(count: number | undefined, most: number): number | undefined {
  return count !== undefined && Number.isSafeInteger(count) && count >= 0 && count <= most ? count : undefined;
}
