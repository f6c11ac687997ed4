import type { RequestRow } from '@lfo/router/src/records/tables.ts';

/** What differs between the two databases: a uniform random number, a table of numbers, and hexadecimal text. */
export interface Sql {
  readonly random: string;
  readonly numbers: (from: number, to: number) => string;
  readonly hex: (value: string, digits: number) => string;
}

export const sqlite: Sql = {
  random: '(abs(random() % 1000000) / 1000000.0)',
  numbers: (from, to) =>
    `(with recursive g(n) as (select ${from} union all select n + 1 from g where n + 1 < ${to}) select n from g)`,
  hex: (value, digits) => `printf('%0${digits}x', ${value})`,
};

export const postgresql: Sql = {
  random: 'random()',
  numbers: (from, to) => `(select n::bigint from generate_series(${from}, ${to - 1}) as n)`,
  hex: (value, digits) => `lpad(to_hex(${value}), ${digits}, '0')`,
};

/** How many rows arrive in a second. */
export const rowsPerSecond = 10;

const local = {
  tier: 'local',
  backend: 'embedded',
  model: 'qwen2.5-coder-0.5b',
  start_ms: 0.412,
  leased_ms: 0.533,
  first_event_ms: 211.25,
  end_ms: 903.125,
  outcome: 'answered',
  reason: 'confident',
  score: 0.8125,
  error_code: null,
  error_status: null,
  error_source: null,
  held_ms: 412.5,
  held_tokens: 48,
  prompt_tokens: 412,
  completion_tokens: 48,
};
const cloud = { ...local, tier: 'cloud', backend: 'gemini', model: 'gemini-2.5-flash', score: null, reason: null };
const escalated = { ...local, outcome: 'escalated', reason: 'low_confidence', score: 0.5125 };

/** What the policies knew. */
const features = {
  promptTokens: 412,
  promptTokensFrom: 'bound',
  tools: 4,
  images: 0,
  jsonSchema: false,
  stream: true,
  turns: 6,
  contextTokens: 32_768,
  predictedFirstTokenMs: 812.5,
  localReady: true,
  cloudReady: true,
};
/** What the judge went by and what its heads said: about 1,100 characters, as of a text of 40 tokens. */
const judgedFeatures = Object.fromEntries(
  Array.from({ length: 34 }, (_, index) => [`text_feature_${index}`, ((index * 37) % 101) / 101]),
);
const heads = { text_score: 0.7421, raw_score: 0.6988 };
const identity = { model: 'qwen2.5-coder-0.5b', quantization: 'Q4_K_M', template: '0f5d11ab', sampling: 'default' };

const columns = [
  'id',
  'time_ms',
  'client_key',
  'mode',
  'stream',
  'status',
  'error_code',
  'error_source',
  'route',
  'backend',
  'model',
  'reason',
  'reasons',
  'attempts',
  'degraded',
  'confidence',
  'threshold',
  'features',
  'routed_tokens',
  'routed_tokens_from',
  'prompt_tokens',
  'completion_tokens',
  'reasoning_tokens',
  'cached_tokens',
  'tokens_estimated',
  'cost_usd',
  'cost_avoided_usd',
  'finish_reason',
  'total_ms',
  'first_token_ms',
  'committed_ms',
  'queue_ms',
  'local_ms',
  'cloud_ms',
  'held_ms',
  'overhead_ms',
  'warnings',
  'predicted_wait_ms',
  'wait_ms',
  'router',
  'dialect',
  'tools',
] satisfies readonly (keyof RequestRow)[];

const json = (value: unknown): string => `'${JSON.stringify(value)}'`;

/**
 * Inserts the rows numbered `from` to `to`, evenly spread over time: two thirds answered locally, a sixth escalated, a
 * seventh sent to the cloud at once, a few failed. Each column draws its own random number where it is not derived.
 */
export function insertRows(sql: Sql, startMs: number, from: number, to: number): string {
  const time = `cast(${Math.round(startMs)} + n * ${1000 / rowsPerSecond} as bigint)`;
  // Materialized, or SQLite would draw anew for each column that uses a number.
  return `insert into requests (${columns.join(', ')}) with numbered as materialized (
      select n, ${time} as t, ${sql.random} as r, ${sql.random} as r2 from ${sql.numbers(from, to)} as numbers
    ), drawn as (
      select n, t, r, r2, case when r < 0.65 or r > 0.9995 then 'local' when r < 0.97 then 'cloud' end as route from numbered
    ) select ${sql.hex('t / 65536', 8)} || '-' || ${sql.hex('t % 65536', 4)} || '-7' || ${sql.hex('n % 4096', 3)} || '-8' || ${sql.hex('n / 4096 % 4096', 3)} || '-' || ${sql.hex('cast(r * 200000000000 as bigint)', 12)},
      t, 'team-' || cast(cast(r2 * 20 as integer) as text), 'auto', 1, case when route is null then 502 else 200 end,
      case when route is null then 'upstream_timeout' end, case when route is null then 'upstream' end,
      route, case route when 'local' then 'embedded' when 'cloud' then case when r < 0.9999999 then 'gemini' else 'openrouter' end end,
      case route when 'local' then 'qwen2.5-coder-0.5b' when 'cloud' then 'gemini-2.5-flash' end,
      case when r < 0.4 then 'confident' when r < 0.65 then 'local_first' when r < 0.8 then 'low_confidence' when r < 0.999999 then 'prompt_too_long' else 'images_unsupported' end,
      '["confident","local_first"]',
      case when r < 0.65 then ${json([local])} when r < 0.8 then ${json([escalated, cloud])} else ${json([cloud])} end,
      case when r > 0.999 and route = 'local' then 1 else 0 end,
      r, 0.7, ${json(features)}, 412, 'bound', 412, 96, 0, 128, 0,
      case when route = 'cloud' then 0.000364 else 0 end, case when route = 'local' then 0.000364 end,
      case when route is not null then 'stop' end,
      exp(4 + r2 * 5), exp(3 + r2 * 4), exp(3 + r2 * 4), 0.25, case when r < 0.8 then 812.5 end, case when route = 'cloud' then 1204.25 end, 412.5, 0.75, '[]',
      case when r < 0.8 then 211.25 end, case when r < 0.8 then 150 + r2 * 300 end, 'router-1', 'openai-chat', 4
    from drawn`;
}

/** What the judge said of every local answer among the rows of a span, and a label of each tenth. */
export function insertJudged(fromMs: number, untilMs: number): readonly string[] {
  const among = `from requests where time_ms >= ${Math.round(fromMs)} and time_ms < ${Math.round(untilMs)} and local_ms is not null`;
  return [
    `insert into judgements (id, request_id, attempt, time_ms, client_key, policy, backend, model, identity, estimator, calibration,
       is_prior, features_version, features, heads, score, threshold, verdict, reason, outcome, local_ms)
     select id || '.0', id, 0, time_ms, client_key, 'judge', 'embedded', 'qwen2.5-coder-0.5b', ${json(identity)}, 'heads', '5f1c22ab',
       0, 3, ${json(judgedFeatures)}, ${json(heads)}, confidence, threshold, case when route = 'local' then 'commit' else 'escalate' end,
       reason, 'answered', local_ms ${among}`,
    `insert into labels (id, request_id, attempt, time_ms, source, label, weight, propensity)
     select id || '.0.agreement.x', id, 0, time_ms, 'agreement', case when confidence > 0.3 then 1 else 0 end, 1, 1 ${among} and confidence < 0.1`,
  ];
}
