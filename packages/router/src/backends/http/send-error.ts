import { BackendError, type BackendErrorInit } from '../../core/errors.ts';
import { NotHttpError } from './answer-parser.ts';
import { ConnectTimeoutError } from './connector.ts';
import { ForeignAddressError, ForeignResolverError } from './local-lookup.ts';

type Failure = readonly [message: string, init: Omit<BackendErrorInit, 'backend'>];

const failures = {
  foreignOrigin: [
    'The request would have gone to a host that is not configured; nothing was sent.',
    { fault: 'connect', retryable: false },
  ],
  header: [
    'A header for the backend holds a character that HTTP does not allow; nothing was sent.',
    { fault: 'connect', retryable: false },
  ],
  foreignAddress: [
    'The backend is configured as local, but its name leads out of the local network; nothing was sent. Set its tier to cloud if that is meant.',
    { fault: 'connect' },
  ],
  foreignResolver: [
    'The backend is configured as local by a name that only a public name server could resolve; nothing was asked. Give its address, or put the name into the hosts file.',
    { fault: 'connect' },
  ],
  connectTimeout: [
    'The backend did not accept a connection in time; check that it runs and is reachable.',
    { fault: 'timeout' },
  ],
  certificate: [
    'The TLS certificate of the backend could not be verified; check its name, its dates and its issuer.',
    { fault: 'connect' },
  ],
  refused: [
    'The backend refused the connection; check that it runs and listens on the configured port.',
    { fault: 'connect' },
  ],
  unknownHost: ['The name of the backend could not be resolved; check its base URL.', { fault: 'connect' }],
  unreachable: ['The backend could not be reached; check its base URL and the network.', { fault: 'connect' }],
  closed: ['The backend was removed or the router is stopping; try again.', { fault: 'connect' }],
  // The connection stood, so another try may well succeed: unlike a refusal this is a cut.
  hungUp: ['The backend closed the connection before it answered; try again.', { fault: 'cut' }],
  cut: ['The backend broke off its answer; try again.', { fault: 'cut' }],
  notHttp: ['The backend did not answer in HTTP; check the scheme and port of its base URL.', { fault: 'bad_answer' }],
  redirect: [
    'The backend answered with a redirect, which is never followed; configure the final base URL.',
    { fault: 'bad_answer' },
  ],
  encoded: ['The backend compressed its answer unasked; switch that off there.', { fault: 'bad_answer' }],
} as const satisfies Readonly<Record<string, Failure>>;

/** The error of a known transport failure. `cause` is a bare code: the system's own errors name hosts. */
export function failed(name: keyof typeof failures, backend: string, cause?: string): BackendError {
  const [message, init] = failures[name];
  return new BackendError(message, { ...init, backend, cause });
}

/** Maps what a connection was lost with before the head of an answer had arrived; nothing: the backend closed it. */
export function sendError(error: unknown, backend: string): BackendError {
  return failed(error === undefined ? 'hungUp' : nameOf(error), backend, codeOf(error));
}

/** As `sendError`, while a body was read. */
export function bodyError(error: unknown, backend: string): BackendError {
  return failed(error instanceof NotHttpError ? 'notHttp' : 'cut', backend, codeOf(error));
}

function nameOf(error: unknown): keyof typeof failures {
  if (error instanceof ConnectTimeoutError) return 'connectTimeout';
  if (error instanceof ForeignAddressError) return 'foreignAddress';
  if (error instanceof ForeignResolverError) return 'foreignResolver';
  if (error instanceof NotHttpError) return 'notHttp';
  // Several addresses were tried; they fail alike.
  if (error instanceof AggregateError) return nameOf(error.errors[0]);
  const code = codeOf(error);
  if (code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || code.includes('CERT') || code.includes('ISSUER'))
    return 'certificate';
  return byCode[code] ?? 'unreachable';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

const byCode: Readonly<Record<string, keyof typeof failures>> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'unknownHost',
  EAI_AGAIN: 'unknownHost',
  ETIMEDOUT: 'connectTimeout',
  ECONNRESET: 'hungUp',
  EPIPE: 'hungUp',
  EPROTO: 'notHttp',
  ERR_SSL_WRONG_VERSION_NUMBER: 'notHttp',
  // Those of OpenSSL whose names do not tell. The first is the commonest: an issuer of one's own, or a chain that is not sent.
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate',
  INVALID_CA: 'certificate',
  INVALID_PURPOSE: 'certificate',
  PATH_LENGTH_EXCEEDED: 'certificate',
};
