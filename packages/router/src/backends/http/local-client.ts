import type { HttpClient } from './client.ts';
import { createHttpClient, type HttpClientOptions } from './socket-client.ts';

/** A client that connects to the user's own network alone, whatever a name resolves to. */
export function createLocalClient(options: Omit<HttpClientOptions, 'tier'>): HttpClient {
  return createHttpClient({ ...options, tier: 'local' });
}
