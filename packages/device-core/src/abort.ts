import { EngineError } from './engine/engine.ts';

/** Why a signal was aborted; `cancelled` on platforms whose signals do not tell. */
export function abortReason(signal: AbortSignal): unknown {
  const reason: unknown = 'reason' in signal ? signal.reason : undefined;
  return reason ?? new EngineError('cancelled', 'The request was cancelled.', false);
}

/** @throws the signal's reason when it has been aborted */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortReason(signal);
}
