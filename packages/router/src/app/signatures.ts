import { BoundedSignatureStore, type SignatureStore } from '../backends/engines/gemini/signature-store.ts';
import type { Journal } from '../core/journal.ts';
import type { Logger } from '../core/logger.ts';

/** What Gemini's backend needs for the signatures of its tool calls. */
export interface Signatures {
  readonly signatures: SignatureStore;
  /** A call left with the sentinel in place of its lost signature. */
  readonly onSentinel: () => void;
  /** How many did. */
  readonly sentinels: () => number;
}

/** Signatures of this process, and in the background those of earlier ones. */
export function openSignatures(journal: Journal, log: Logger): Signatures {
  const signatures = new BoundedSignatureStore(undefined, journal);
  signatures.restore().catch(() => log.warn('Signatures of earlier tool calls could not be read from the database.'));
  let sentinels = 0;
  return {
    signatures,
    sentinels: () => sentinels,
    onSentinel() {
      sentinels++;
      log.warn('A tool call went to Gemini without its signature; answers may be worse for it.');
    },
  };
}
