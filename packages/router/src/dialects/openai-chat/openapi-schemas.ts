import { reasons } from '../../core/reason.ts';

const text = { type: 'string' };
const count = { type: 'integer', minimum: 0 };
const milliseconds = { type: 'number', minimum: 0 };
const score = { type: 'number', minimum: 0, maximum: 1 };
const flag = { type: 'boolean' };
const tier = { enum: ['local', 'cloud'] };
const mode = { enum: ['local', 'auto', 'cloud'] };
const reason = { enum: Object.keys(reasons) };

const orNull = (schema: object) => ({ anyOf: [schema, { type: 'null' }] });
const list = (items: object) => ({ type: 'array', items });

/** Every property is there, unless it is named as optional. */
function object(properties: Readonly<Record<string, object>>, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required };
}

const error = object({
  error: object(
    {
      message: { ...text, description: 'What went wrong and what to do next.' },
      type: text,
      param: orNull({ ...text, description: 'The field or header that is at fault.' }),
      code: orNull({ ...text, description: 'Stable; for programs.' }),
      source: { enum: ['lfo', 'upstream'], description: '`upstream` whenever a backend failed.' },
      skipped: {
        ...list(object({ backend: text, why: text })),
        description: 'Backends that were passed over, where none could take the request.',
      },
    },
    ['skipped'],
  ),
});

const attempt = object(
  {
    tier,
    backend: orNull(text),
    model: orNull(text),
    outcome: orNull(text),
    reason: orNull(reason),
    score: orNull(score),
    latency_ms: milliseconds,
    first_token_ms: orNull(milliseconds),
    held_ms: milliseconds,
    held_tokens: count,
    error: object({ code: text, status: count, source: text }),
  },
  ['held_ms', 'held_tokens', 'error'],
);

const metadata = object(
  {
    request_id: { ...text, description: 'As in x-request-id; feedback names it.' },
    route: orNull(tier),
    backend: orNull(text),
    model: orNull(text),
    mode,
    confidence: orNull(score),
    threshold: score,
    routing_reason: orNull(reason),
    reasons: list(reason),
    rules: { ...list(text), description: 'Rules of the operator that voted.' },
    degraded: { ...flag, description: 'A local answer below the threshold, because the cloud could not stand in.' },
    egress: { ...text, description: '`none`, or the cloud backends that were given the prompt, joined by commas.' },
    attempts: list(attempt),
    latency_ms: milliseconds,
    overhead_ms: orNull(milliseconds),
    prompt_tokens: orNull(count),
    prompt_tokens_from: orNull({ enum: ['count', 'bound', 'estimate'] }),
    native_finish_reason: text,
    usage_estimated: flag,
    cost_usd: { type: 'number', minimum: 0 },
    repaired_tool_calls: list(count),
    warnings: { type: 'object', additionalProperties: text },
  },
  ['rules', 'native_finish_reason', 'usage_estimated', 'cost_usd', 'repaired_tool_calls', 'warnings'],
);

const usage = object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: object({ cached_tokens: count }),
  completion_tokens_details: object({ reasoning_tokens: count }),
});

const calledFunction = object({ name: text, arguments: text });
const message = object(
  {
    role: { const: 'assistant' },
    content: orNull(text),
    refusal: orNull(text),
    reasoning_content: text,
    tool_calls: list(object({ id: text, type: { const: 'function' }, function: calledFunction })),
    function_call: calledFunction,
  },
  ['reasoning_content', 'tool_calls', 'function_call'],
);

const finishReason = { enum: ['stop', 'length', 'tool_calls', 'content_filter', 'function_call'] };
const logprobs = orNull({ type: 'object' });

/** What the routes answer, by name; those of bodies are made from what they are held to. */
export const answerSchemas = {
  Error: error,
  Metadata: metadata,
  Completion: object({
    id: text,
    object: { const: 'chat.completion' },
    created: count,
    model: text,
    choices: list(object({ index: count, message, logprobs, finish_reason: finishReason })),
    usage,
    lfo_metadata: { $ref: '#/components/schemas/Metadata' },
  }),
  Chunk: object(
    {
      id: text,
      object: { const: 'chat.completion.chunk' },
      created: count,
      model: text,
      choices: list(object({ index: count, delta: { type: 'object' }, logprobs, finish_reason: orNull(finishReason) })),
      usage: orNull(usage),
      lfo_metadata: { $ref: '#/components/schemas/Metadata' },
    },
    ['usage', 'lfo_metadata'],
  ),
  Route: object({
    object: { const: 'route' },
    mode,
    route: orNull(tier),
    routing_reason: orNull(reason),
    explanation: orNull(text),
    reasons: list(reason),
    rules: { ...list({ type: 'object' }), description: 'Rules of the operator that voted.' },
    attempts: list({ type: 'object' }),
    threshold: score,
    threshold_from: { enum: ['request', 'goal', 'environment', 'override', 'file', 'default'] },
    binding_goal: orNull(text),
    goals: list({ type: 'object' }),
    prompt_tokens: count,
    prompt_tokens_from: { enum: ['count', 'bound', 'estimate'] },
    warm_tokens: count,
    max_local_tokens: count,
    first_token_budget_ms: count,
    candidates: list({ type: 'object' }),
    skipped: list(object({ backend: text, why: text })),
  }),
  Model: object({ id: text, object: { const: 'model' }, created: count, owned_by: text }),
  ModelList: object({ object: { const: 'list' }, data: list({ $ref: '#/components/schemas/Model' }) }),
  Feedback: object({
    object: { const: 'feedback' },
    request_id: text,
    verdict: { enum: ['good', 'bad'] },
    expected_route: orNull(tier),
  }),
  Health: object({ status: { enum: ['ok', 'degraded', 'draining'] } }),
  Readiness: object({ status: { enum: ['ready', 'not_ready', 'draining'] }, reasons: list(text) }),
};
