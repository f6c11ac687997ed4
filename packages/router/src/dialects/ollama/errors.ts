import { type LfoError, NoBackendError } from '../../core/errors.ts';

/** Ollama's error is one sentence; what LFO adds stands beside it. */
export function ollamaError(error: LfoError): object {
  const skipped = error instanceof NoBackendError && error.skipped.length > 0 ? { skipped: error.skipped } : {};
  return {
    error: error.message.toWellFormed(),
    code: error.code,
    param: error.param?.toWellFormed() ?? null,
    source: error.source,
    ...skipped,
  };
}
