import type { Cancellation } from '../core/abort.ts';
import { createHttpClient } from '../backends/http/socket-client.ts';
import type { Clock } from '../core/clock.ts';
import type { TelemetryConfig } from '../config/config.ts';
import { LfoError } from '../core/errors.ts';
import { SpanExporter } from './span-exporter.ts';

/** Sends finished requests to a collector as traces. */
export interface Tracing {
  readonly exporter: SpanExporter;
  /** A last delivery, given up when the signal aborts. */
  close(signal: Cancellation): Promise<void>;
}

const connectMs = 2_000;

/**
 * Traces to the configured collector. Unless the operator allows more, its client connects to the own network alone,
 * however the name resolves; a collector beyond it gets no requests in mode `local`.
 */
export function openTracing(config: TelemetryConfig, clock: Clock, version: string): Tracing | undefined {
  const { otlpEndpoint, otlpHeaders, allowRemote } = config;
  if (otlpEndpoint === undefined) return undefined;
  const url = new URL(`${otlpEndpoint.replace(/\/+$/, '')}/v1/traces`);
  const client = createHttpClient({
    backend: 'otlp',
    tier: allowRemote ? 'cloud' : 'local',
    origins: new Set([url.origin]),
    clock,
    connectMs,
  });
  const exporter = new SpanExporter({
    clock,
    version,
    serviceName: 'lfo',
    withoutLocalMode: allowRemote,
    async send(body, signal) {
      const headers = { ...otlpHeaders, 'content-type': 'application/json' };
      const answer = await client.send({ method: 'POST', url, headers, body, signal });
      answer.body.destroy();
      if (answer.status >= 300) {
        throw new LfoError('The collector refused the spans.', { code: 'collector_refused', status: 502 });
      }
    },
  });
  return {
    exporter,
    async close(signal) {
      await exporter.close(signal);
      await client.close();
    },
  };
}
