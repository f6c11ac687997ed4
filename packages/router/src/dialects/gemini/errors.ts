import { type LfoError, NoBackendError } from '../../core/errors.ts';

/** Google's error envelope; what LFO adds stands in its details. */
export function googleError(error: LfoError): object {
  const details: object[] = [
    {
      '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
      reason: error.code.toUpperCase(),
      domain: 'lfo',
      metadata: { source: error.source },
    },
  ];
  if (error.param !== undefined) {
    details.push({
      '@type': 'type.googleapis.com/google.rpc.BadRequest',
      fieldViolations: [{ field: error.param.toWellFormed(), description: error.message.toWellFormed() }],
    });
  }
  if (error instanceof NoBackendError && error.skipped.length > 0) {
    details.push({ '@type': 'type.googleapis.com/google.rpc.DebugInfo', skipped: error.skipped });
  }
  if (error.retryAfterMs !== undefined) {
    const retryDelay = `${Math.ceil(error.retryAfterMs / 1000)}s`;
    details.push({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay });
  }
  return {
    error: { code: error.status, message: error.message.toWellFormed(), status: statusName(error.status), details },
  };
}

function statusName(status: number): string {
  switch (status) {
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'PERMISSION_DENIED';
    case 404:
      return 'NOT_FOUND';
    case 429:
      return 'RESOURCE_EXHAUSTED';
    case 500:
      return 'INTERNAL';
    case 501:
      return 'UNIMPLEMENTED';
    case 502:
    case 503:
      return 'UNAVAILABLE';
    case 504:
      return 'DEADLINE_EXCEEDED';
    default:
      return status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL';
  }
}
