import type { DeviceErrorCode } from '@lfo/protocol';
import { BackendError, type BackendErrorInit, preemptedCode } from '../../../core/errors.ts';

/** What a device's error means to the router. */
type Meaning = Omit<BackendErrorInit, 'backend'> & {
  /** Said to the client unless the device's own words are. */
  readonly message?: string;
};

const meanings: Readonly<Record<DeviceErrorCode, Meaning>> = {
  busy: { fault: 'busy' },
  loading: { fault: 'busy', code: 'local_model_unavailable' },
  memory: { fault: 'busy' },
  paused: { fault: 'busy' },
  draining: { fault: 'busy' },
  preempted: { fault: 'busy', code: preemptedCode },
  thermal: { fault: 'busy' },
  battery: { fault: 'busy' },
  no_model: { fault: 'busy', code: 'local_model_unavailable' },
  too_long: { fault: 'rejected', code: 'context_length_exceeded' },
  bad_request: { fault: 'rejected' },
  unsupported: { fault: 'rejected' },
  deadline: { fault: 'timeout', message: 'The deadline passed before the local model had answered.' },
  cancelled: { fault: 'server', message: 'The device stopped the request; try again.' },
  engine: { fault: 'server', message: 'The local engine failed; try again, or use mode cloud.' },
  lost: { fault: 'cut', message: 'The device lost the request; try again.' },
  internal: { fault: 'server', message: 'The device failed; try again, or use mode cloud.' },
  unknown_type: { fault: 'bad_answer', message: 'The device is of another version; update it.' },
};

/** The model is not up to a request that is right in itself: worth trying elsewhere, and no sign of ill health. */
const beyondModel: Meaning = { fault: 'unusable' };

const maxMessageChars = 300;
/** A device that takes nothing is left alone so long where it does not say itself. */
const busyMs = 250;

/** The device's refusal or failure as the pool and the client see it. */
export function deviceFault(
  backend: string,
  {
    code,
    message,
    retryable,
    retry_after_ms: retryAfterMs = busyMs,
  }: {
    readonly code: DeviceErrorCode;
    readonly message: string;
    readonly retryable: boolean;
    readonly retry_after_ms?: number | undefined;
  },
): BackendError {
  const { message: ours, ...meaning } = code === 'bad_request' && retryable ? beyondModel : meanings[code];
  // A device's refusals are written for the user; its failures may speak of its insides.
  const words = ours ?? message.slice(0, maxMessageChars);
  return new BackendError(words, {
    ...meaning,
    backend,
    ...(meaning.fault === 'rejected' ? { retryable } : {}),
    // Whose place was taken waits for the next; its device is as good as before.
    ...(meaning.fault === 'busy' && code !== 'preempted' ? { retryAfterMs } : {}),
  });
}

/** Our own observations of a device. */
export const linkFaults = {
  unreachable: ['The device is not connected; see the status of the backend.', { fault: 'connect' }],
  lostBefore: ['The device went away before it answered; try again.', { fault: 'connect' }],
  lostAmid: ['The device went away in the middle of its answer; try again.', { fault: 'cut' }],
  /** A schema that kills one engine may well kill the next. */
  lostOnSchema: [
    'The local engine ended over this request; simplify its JSON schema.',
    { fault: 'rejected', code: 'schema_too_complex', retryable: false },
  ],
  silent: ['The device fell silent; try again.', { fault: 'timeout' }],
  outOfOrder: ['The device lost a part of its answer; try again.', { fault: 'bad_answer' }],
  malformed: ['The device sent something that does not fit the protocol; update it.', { fault: 'bad_answer' }],
  tooLarge: [
    'The request is too large for the device; shorten it.',
    { fault: 'rejected', code: 'context_length_exceeded' },
  ],
  slowReader: ['The answer was not read fast enough and has been stopped.', { fault: 'unusable', retryable: false }],
} as const satisfies Readonly<Record<string, readonly [string, Omit<BackendErrorInit, 'backend'>]>>;

/** The error for one of our own observations. */
export function linkFault(name: keyof typeof linkFaults, backend: string, cause?: unknown): BackendError {
  const [message, init] = linkFaults[name];
  return new BackendError(message, { ...init, backend, cause });
}
