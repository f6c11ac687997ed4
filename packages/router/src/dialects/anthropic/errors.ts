import { type LfoError, NoBackendError } from '../../core/errors.ts';

/** Anthropic's error envelope; `param`, `code` and `source` stand beside the message. */
export function anthropicError(error: LfoError, requestId: string): object {
  const skipped = error instanceof NoBackendError && error.skipped.length > 0 ? { skipped: error.skipped } : {};
  return {
    type: 'error',
    error: {
      type: errorType(error.status),
      message: messageOf(error).toWellFormed(),
      param: error.param?.toWellFormed() ?? null,
      code: error.code,
      source: error.source,
      ...skipped,
    },
    request_id: requestId,
  };
}

/** Its clients compact their conversation when a message begins with these words. */
function messageOf({ code, message }: LfoError): string {
  return code === 'context_length_exceeded' ? `prompt is too long: ${message}` : message;
}

function errorType(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 413:
      return 'request_too_large';
    case 429:
      return 'rate_limit_error';
    case 503:
    case 529:
      return 'overloaded_error';
    case 504:
      return 'timeout_error';
    default:
      return status < 500 ? 'invalid_request_error' : 'api_error';
  }
}
