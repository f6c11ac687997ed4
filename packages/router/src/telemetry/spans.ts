import { spanIdOf, traceIdOf } from '../core/trace-ids.ts';
import type { AttemptTrace, RequestTrace } from '../core/trace.ts';

/** One attribute or status as OTLP's JSON has it (opentelemetry-proto, common.proto). */
type Value =
  | { readonly arrayValue: { readonly values: readonly { readonly stringValue: string }[] } }
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly doubleValue: number };

interface Attribute {
  readonly key: string;
  readonly value: Value;
}

/** One span as OTLP's JSON has it. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  /** 2 server, 3 client. */
  readonly kind: 2 | 3;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  /** 0 unset, 2 error. */
  readonly status: { readonly code: 0 | 2 };
}

/**
 * The spans of a finished request, its own first and one an attempt, in the GenAI semantic conventions; no word of
 * prompt or answer. Ids come from the request's, so that a trace is found by it.
 */
export function spansOf(trace: RequestTrace, status: number): readonly Span[] {
  const caller = trace.caller?.trace;
  const traceId = caller?.traceId ?? traceIdOf(trace.id);
  const at = (ms: number | undefined): string =>
    nanoseconds(trace.startedAtMs + ((ms ?? trace.startMs) - trace.startMs));
  const spanId = spanIdOf(trace.id, 'request');
  const { usage } = trace;
  const operation = trace.isEmbedding === true ? 'embeddings' : 'chat';
  const request: Span = {
    traceId,
    spanId,
    ...(caller === undefined ? {} : { parentSpanId: caller.spanId }),
    name: `${operation} lfo`,
    kind: 2,
    startTimeUnixNano: at(trace.startMs),
    endTimeUnixNano: at(trace.endMs),
    attributes: attributes({
      'gen_ai.operation.name': operation,
      'gen_ai.response.model': trace.model,
      'gen_ai.response.finish_reasons': trace.finishReason === undefined ? undefined : [trace.finishReason],
      'gen_ai.usage.input_tokens': integer(usage?.promptTokens),
      'gen_ai.usage.output_tokens': integer(usage?.completionTokens),
      'http.response.status_code': integer(status),
      'lfo.mode': trace.mode,
      'lfo.route': trace.route,
      'lfo.backend': trace.backend,
      'lfo.reason': trace.reason,
      'lfo.confidence': trace.confidence,
      'lfo.threshold': trace.threshold,
      'lfo.degraded': String(trace.degraded),
      'lfo.overhead_ms': trace.overheadMs,
    }),
    status: { code: status >= 500 ? 2 : 0 },
  };
  return [request, ...trace.attempts.map((attempt, index) => attemptSpan(attempt, index))];

  function attemptSpan(attempt: AttemptTrace, index: number): Span {
    return {
      traceId,
      spanId: spanIdOf(trace.id, String(index)),
      parentSpanId: spanId,
      name: attempt.model === undefined ? operation : `${operation} ${attempt.model}`,
      kind: 3,
      startTimeUnixNano: at(attempt.startMs),
      endTimeUnixNano: at(attempt.endMs ?? trace.endMs),
      attributes: attributes({
        'gen_ai.operation.name': operation,
        'gen_ai.provider.name': attempt.backend,
        'gen_ai.request.model': attempt.model,
        'gen_ai.usage.input_tokens': integer(attempt.usage?.promptTokens),
        'gen_ai.usage.output_tokens': integer(attempt.usage?.completionTokens),
        'error.type': attempt.error?.code,
        'lfo.tier': attempt.tier,
        'lfo.outcome': attempt.outcome,
        'lfo.reason': attempt.reason,
        'lfo.confidence': attempt.score,
        'lfo.held_ms': attempt.heldMs,
      }),
      status: { code: attempt.outcome === 'failed' ? 2 : 0 },
    };
  }
}

type Plain = string | number | bigint | readonly string[];

function attributes(values: Readonly<Record<string, Plain | undefined>>): Attribute[] {
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: valueOf(value) }],
  );
}

function valueOf(value: Plain): Value {
  if (typeof value === 'object') return { arrayValue: { values: value.map((stringValue) => ({ stringValue })) } };
  if (typeof value === 'string') return { stringValue: value };
  return typeof value === 'bigint' ? { intValue: String(value) } : { doubleValue: value };
}

function integer(value: number | undefined): bigint | undefined {
  return value === undefined || !Number.isFinite(value) ? undefined : BigInt(Math.round(value));
}

/** Microseconds are as fine as our clocks mean it. */
function nanoseconds(unixMs: number): string {
  return String(BigInt(Math.round(unixMs * 1000)) * 1000n);
}
