import type { Cancellation } from '../../core/abort.ts';
import type { Source } from '../../core/flow.ts';

/** One outgoing request; the URL's host must be one of the configured ones. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Already serialised. */
  readonly body?: string;
  readonly signal: Cancellation;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Read or destroyed by the caller; ends with an error when the signal aborts. */
  readonly body: Source<Uint8Array> & { destroy(error?: Error): void };
}

/**
 * The only way out of the process. Redirects are not followed, answers not decompressed.
 * @throws BackendError with fault `connect` or `timeout`
 */
export interface HttpClient {
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}
