import { FrameError } from '@lfo/protocol';
import type { DeviceMessage, MessageOf } from '@lfo/protocol';
import { EngineError } from '../engine/engine.ts';

/** The `error` the router is told. Only messages of our own errors leave: others may hold paths or prompts. */
export function errorMessage(error: unknown, id?: number): MessageOf<DeviceMessage, 'error'> {
  const { code, message, retryable } = describe(error);
  return { t: 'error', ...(id === undefined ? {} : { id }), code, message, retryable };
}

function describe(error: unknown): Pick<EngineError, 'code' | 'message' | 'retryable'> {
  if (error instanceof EngineError) return error;
  if (error instanceof FrameError)
    return { code: 'internal', message: 'A part of the answer is too large.', retryable: false };
  return {
    code: 'internal',
    message: 'The engine failed unexpectedly. The log of the device host has more.',
    retryable: true,
  };
}
