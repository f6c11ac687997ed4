import type { ToolCall } from '../../../core/request.ts';
import type { SignatureStore } from './signature-store.ts';
import type { ModelTraits } from './models.ts';

/** Google's documented word for "this call was not made by a signing model"; it costs quality, so it comes last. */
export const signatureSentinel = 'skip_thought_signature_validator';

/** Finds the signature of a call in a history. */
export interface SignatureSource {
  /** `isRequired`: the first call of a step of the current turn, which Gemini 3 refuses unsigned. */
  find(call: ToolCall, isRequired: boolean): string | undefined;
}

/**
 * What the client carried back, else what the store remembers, else the sentinel where one is required (told to
 * `onSentinel`). Models that do not sign get none, and none gets one that was refused before.
 */
export function signaturesFor(
  traits: ModelTraits,
  store: SignatureStore,
  clientKey: string | undefined,
  onSentinel: () => void,
  isRefused: (signature: string) => boolean = () => false,
): SignatureSource {
  return {
    find(call, isRequired) {
      if (traits.signatures === 'none') return undefined;
      const carried = call.thoughtSignature;
      if (carried !== undefined && isBase64(carried) && !isRefused(carried)) return carried;
      const found = store.get(clientKey, call, isRequired ? 'any' : 'id');
      const kept = found === undefined || isRefused(found) ? undefined : found;
      if (kept !== undefined || !isRequired || traits.signatures === 'optional') return kept;
      onSentinel();
      return signatureSentinel;
    },
  };
}

/**
 * Every required signature is the sentinel: for a history whose signatures Gemini does not accept. Those that would have
 * been sent are told to `onLeftOut`.
 */
export function sentinelsOnly(
  source: SignatureSource,
  onSentinel: () => void,
  onLeftOut: (signature: string) => void,
): SignatureSource {
  return {
    find(call, isRequired) {
      const signature = source.find(call, isRequired);
      if (signature !== undefined && signature !== signatureSentinel) onLeftOut(signature);
      if (isRequired) onSentinel();
      return isRequired ? signatureSentinel : undefined;
    },
  };
}

/** Either alphabet: Gemini reads both, and its sentinel is of the second. */
function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/_-]+={0,2}$/.test(text);
}
