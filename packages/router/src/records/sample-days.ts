import type { RequestRow } from './tables.ts';

/** A backend of the local tier in made-up records. */
export interface SampleLocal {
  readonly backend: string;
  readonly model: string;
  /** Times are multiplied by it. */
  readonly pace: number;
  readonly device?: string;
}

export interface SampleOptions {
  readonly seed?: number;
  readonly locals?: readonly SampleLocal[];
  /** Ids of the keys that they came with, the most frequent first. */
  readonly keys?: readonly string[];
}

/** Made-up rows of a router in use, spread over the time before `nowMs`; the same for the same seed. For demonstrations and tests. */
export function recordedDays(
  nowMs: number,
  count: number,
  spanMs: number,
  { seed = 7, locals = twoLocals, keys = ['owner'] }: SampleOptions = {},
): readonly RequestRow[] {
  const random = generator(seed);
  return Array.from({ length: count }, (_, index) => {
    const ageMs = (spanMs * (index + random())) / count;
    const timeMs = Math.floor(nowMs - (spanMs < dayMs ? ageMs : crowded(ageMs, spanMs)));
    const key = keys[Math.floor(keys.length * ((index * 0.618) % 1) ** 2)] ?? 'owner';
    return rowAt(timeMs, index, key, storyOf(locals, random));
  });
}

const dayMs = 86_400_000;

/** Moves ages towards the busy half of each day, some hours before `nowMs`'s time of day, and leaves them in their span. */
function crowded(ageMs: number, spanMs: number): number {
  const wave = (age: number): number => Math.sin((2 * Math.PI * (age - 0.3 * dayMs)) / dayMs);
  const shift = (dayMs / (2 * Math.PI)) * 0.7 * (wave(0) - wave(ageMs));
  return Math.min(spanMs - 1, Math.max(0, ageMs + shift));
}

/** How one request went, before it is a row. */
interface Story {
  readonly fate: 'kept' | 'escalated' | 'refused' | 'plain' | 'stood-in' | 'failed';
  readonly score: number;
  readonly local: SampleLocal;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly cloudMs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const ollama: SampleLocal = { backend: 'ollama', model: 'qwen3:4b', pace: 1 };
const twoLocals: readonly SampleLocal[] = [
  ollama,
  ollama,
  { backend: 'embedded', model: 'qwen2.5-coder-0.5b', pace: 0.45 },
];

const reasonsOf = {
  kept: ['confident', 'local_first'],
  escalated: ['low_confidence', 'local_first'],
  refused: ['tool_call_invalid', 'local_first'],
  plain: ['prompt_too_long'],
  'stood-in': ['local_failed', 'local_first'],
  failed: ['cloud_failed', 'local_failed', 'local_first'],
} as const;

function storyOf(locals: readonly SampleLocal[], random: () => number): Story {
  const local = locals[Math.floor(random() * locals.length)] ?? ollama;
  const score = Math.min(0.995, 0.35 + 0.62 * Math.sqrt(random()));
  const luck = random();
  const judged = score < 0.7 ? 'escalated' : 'kept';
  const fate =
    luck < 0.1 ? 'plain' : luck < 0.115 ? 'failed' : luck < 0.13 ? 'stood-in' : luck < 0.16 ? 'refused' : judged;
  return {
    fate,
    score,
    local,
    prefillMs: (40 + 420 * random()) * local.pace,
    decodeMs: (160 + 2_400 * random() ** 2) * local.pace,
    cloudMs: 380 + 1_300 * random() ** 2,
    promptTokens: Math.round(fate === 'plain' ? 1_600 + 6_000 * random() : 30 + 1_100 * random() ** 3),
    completionTokens: Math.round(12 + 260 * random() ** 2),
  };
}

function rowAt(timeMs: number, index: number, key: string, story: Story): RequestRow {
  const { fate, local, promptTokens, completionTokens, score } = story;
  const [first, second] = attemptsOf(story);
  const last = second ?? first;
  const hasFailed = fate === 'failed';
  const route = fate === 'kept' ? 'local' : 'cloud';
  const usd = promptTokens * 0.3e-6 + completionTokens * 2.5e-6;
  const nats = Math.round(10_000 * (0.83 - Math.log(score / (1 - score)) / 3)) / 10_000;
  return {
    id: idAt(timeMs, index),
    time_ms: timeMs,
    client_key: key,
    mode: 'auto',
    stream: 1,
    status: hasFailed ? 502 : 200,
    error_code: hasFailed ? 'upstream_error' : null,
    error_source: hasFailed ? 'upstream' : null,
    route: hasFailed ? null : route,
    backend: hasFailed ? null : route === 'local' ? local.backend : 'gemini',
    model: hasFailed ? null : route === 'local' ? local.model : 'gemini-2.5-flash',
    reason: reasonsOf[fate][0],
    reasons: JSON.stringify(reasonsOf[fate]),
    attempts: JSON.stringify(second === undefined ? [first] : [first, second]),
    degraded: 0,
    confidence: fate === 'kept' ? score : null,
    threshold: 0.7,
    features: JSON.stringify({
      messages: 1 + (index % 5),
      tools: fate === 'refused' ? 3 : 0,
      uses_tools: fate === 'refused',
      response_format: 'text',
      warm_tokens: 0,
      max_local_tokens: 1500,
      first_token_budget_ms: 10_000,
      predicted_first_token_ms: Math.round(story.prefillMs),
      local_ready: 2,
      cloud_ready: 1,
    }),
    signals:
      fate === 'kept' || fate === 'escalated'
        ? JSON.stringify({
            judge: 'answer-judge',
            text_tokens: 16,
            text_nats: Math.round(nats * 45_000) / 10_000,
            text_worst_nats: [Math.max(0, nats + 0.2), Math.max(0, nats - 0.2)],
          })
        : null,
    routed_tokens: promptTokens + 30,
    routed_tokens_from: 'bound',
    prompt_tokens: hasFailed ? null : promptTokens,
    completion_tokens: hasFailed ? null : completionTokens,
    reasoning_tokens: null,
    cached_tokens: null,
    tokens_estimated: 0,
    cost_usd: route === 'cloud' && !hasFailed ? usd : 0,
    cost_avoided_usd: route === 'local' ? usd : null,
    finish_reason: hasFailed ? null : 'stop',
    native_finish_reason: null,
    total_ms: last.end_ms + 1,
    first_token_ms: last.first_event_ms,
    committed_ms: last.first_event_ms === null ? null : last.first_event_ms + last.held_ms,
    queue_ms: 1,
    local_ms: fate === 'plain' ? null : first.end_ms - first.leased_ms,
    cloud_ms: route === 'cloud' ? last.end_ms - last.leased_ms : null,
    held_ms: first.held_ms,
    overhead_ms: 0.8,
    warnings: '[]',
    predicted_wait_ms: fate === 'plain' ? null : Math.round(story.prefillMs * (0.8 + 0.5 * ((index * 0.37) % 1))),
    wait_ms: fate === 'plain' || fate === 'stood-in' || fate === 'failed' ? null : Math.round(story.prefillMs),
    device: fate === 'kept' ? (local.device ?? null) : null,
    router: 'demo',
    dialect: 'openai-chat',
    path: null,
    tools: fate === 'refused' ? 3 : 0,
    turned_away: 0,
    trace_id: null,
  };
}

type AttemptJson = ReturnType<typeof cloudAttempt> | ReturnType<typeof localAttempt>;

function attemptsOf(story: Story): readonly [AttemptJson, AttemptJson?] {
  if (story.fate === 'plain') return [cloudAttempt(story, 1)];
  const local = localAttempt(story);
  return story.fate === 'kept' ? [local] : [local, cloudAttempt(story, local.end_ms)];
}

function localAttempt({ fate, local, score, prefillMs, decodeMs }: Story) {
  const hasFailed = fate === 'failed' || fate === 'stood-in';
  const isKept = fate === 'kept';
  const heldMs = hasFailed ? 0 : Math.min(decodeMs, 60 + decodeMs / 5);
  const [backend, model] = [local.backend, local.model];
  return {
    tier: 'local',
    backend,
    model,
    start_ms: 1,
    leased_ms: 1 + prefillMs / 20,
    first_event_ms: hasFailed ? null : 2 + prefillMs,
    end_ms: 2 + prefillMs + (hasFailed ? 0 : isKept ? decodeMs : heldMs),
    outcome: hasFailed ? 'failed' : isKept ? 'answered' : 'escalated',
    reason: hasFailed ? 'local_failed' : reasonsOf[fate][0],
    score: hasFailed ? null : score,
    error_code: hasFailed ? 'upstream_error' : null,
    error_status: hasFailed ? 502 : null,
    held_ms: heldMs,
    held_tokens: 16,
  };
}

function cloudAttempt({ fate, cloudMs }: Story, startMs: number) {
  const hasFailed = fate === 'failed';
  return {
    tier: 'cloud',
    backend: 'gemini',
    model: 'gemini-2.5-flash',
    start_ms: startMs,
    leased_ms: startMs + 1,
    first_event_ms: hasFailed ? null : startMs + cloudMs / 2,
    end_ms: startMs + cloudMs,
    outcome: hasFailed ? 'failed' : 'answered',
    reason: hasFailed ? 'cloud_failed' : null,
    score: null,
    error_code: hasFailed ? 'upstream_error' : null,
    error_status: hasFailed ? 503 : null,
    held_ms: 0,
    held_tokens: null,
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
