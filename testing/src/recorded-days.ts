import type { RequestRow } from '@lfo/router/src/core/store.ts';

/** Rows of a router in use, spread over the time before `nowMs`; the same for the same seed. */
export function recordedDays(nowMs: number, count: number, spanMs: number, seed = 7): readonly RequestRow[] {
  const random = generator(seed);
  return Array.from({ length: count }, (_, index) => {
    const ageMs = Math.floor((spanMs * (index + random())) / count);
    return rowAt(Math.floor(nowMs - ageMs), index, random);
  });
}

function rowAt(timeMs: number, index: number, random: () => number): RequestRow {
  const score = Math.min(0.999, 0.35 + 0.62 * Math.sqrt(random()));
  const isPlain = random() < 0.12;
  const isFailed = random() < 0.015;
  const isEscalated = !isPlain && score < 0.7;
  const route = isPlain || isEscalated ? 'cloud' : 'local';
  const prefillMs = 40 + 300 * random();
  const decodeMs = 120 + 1_400 * random();
  const cloudMs = 350 + 900 * random() ** 2;
  const localEndMs = 2 + prefillMs + (isEscalated ? decodeMs / 4 : decodeMs);
  const local = {
    tier: 'local',
    backend: 'embedded',
    model: 'qwen2.5-0.5b-instruct',
    start_ms: 1,
    leased_ms: 2,
    first_event_ms: 2 + prefillMs,
    end_ms: localEndMs,
    score,
    held_ms: decodeMs / 5,
    held_tokens: 12,
    ...(isEscalated
      ? {
          outcome: 'escalated',
          reason: 'low_confidence',
        }
      : {
          outcome: 'answered',
          reason: 'confident',
        }),
  };
  const cloudStartMs = isPlain ? 1 : localEndMs;
  const cloud = {
    tier: 'cloud',
    backend: 'gemini',
    model: 'gemini-2.5-flash',
    start_ms: cloudStartMs,
    leased_ms: cloudStartMs + 1,
    first_event_ms: cloudStartMs + cloudMs / 2,
    end_ms: cloudStartMs + cloudMs,
    outcome: 'answered',
  };
  const totalMs = route === 'local' ? localEndMs : cloudStartMs + cloudMs;
  const completionTokens = Math.round(20 + 200 * random());
  return {
    id: idAt(timeMs, index),
    time_ms: timeMs,
    client_key: 'owner',
    mode: 'auto',
    stream: 1,
    status: isFailed ? 502 : 200,
    error_code: isFailed ? 'upstream_error' : null,
    error_source: isFailed ? 'upstream' : null,
    route,
    backend: route === 'local' ? 'embedded' : 'gemini',
    model: route === 'local' ? local.model : cloud.model,
    reason: isPlain ? 'prompt_too_long' : isEscalated ? 'low_confidence' : 'confident',
    reasons: JSON.stringify(
      isPlain ? ['prompt_too_long'] : [isEscalated ? 'low_confidence' : 'confident', 'local_first'],
    ),
    attempts: JSON.stringify([...(isPlain ? [] : [local]), ...(route === 'cloud' ? [cloud] : [])]),
    degraded: 0,
    confidence: route === 'local' ? score : null,
    threshold: 0.7,
    features: null,
    signals: null,
    routed_tokens: 60,
    routed_tokens_from: 'bound',
    prompt_tokens: Math.round(30 + 900 * random() ** 3),
    completion_tokens: completionTokens,
    reasoning_tokens: null,
    cached_tokens: null,
    tokens_estimated: 0,
    cost_usd: route === 'cloud' ? completionTokens * 2.5e-6 : 0,
    cost_avoided_usd: route === 'local' ? completionTokens * 2.5e-6 : null,
    finish_reason: isFailed ? null : 'stop',
    native_finish_reason: null,
    total_ms: totalMs,
    first_token_ms: route === 'local' ? 2 + prefillMs : cloudStartMs + cloudMs / 2,
    committed_ms: route === 'local' ? prefillMs + decodeMs / 5 : cloudStartMs + cloudMs / 2,
    queue_ms: 1,
    local_ms: isPlain ? null : localEndMs,
    cloud_ms: route === 'cloud' ? cloudMs : null,
    held_ms: null,
    overhead_ms: 0.8,
    warnings: '[]',
  };
}

/** Sorts by time, as real ids do. */
function idAt(timeMs: number, index: number): string {
  const time = timeMs.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${index.toString(16).padStart(12, '0')}`;
}

/** Numerical Recipes' linear congruential generator: good enough for pictures. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
