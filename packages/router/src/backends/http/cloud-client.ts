import type { HttpClient } from './client.ts';
import { createHttpClient, type HttpClientOptions } from './socket-client.ts';

/** The only client that may leave the user's network; `cloud-tier.ts` alone imports it. */
export function createCloudClient(options: Omit<HttpClientOptions, 'tier'>): HttpClient {
  return createHttpClient({ ...options, tier: 'cloud' });
}
