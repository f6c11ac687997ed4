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

/** What the policies knew, and what the judges saw: 400 characters together. */
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
const signals = {
  estimator: 'logprob+structure',
  meanLogprob: -0.2125,
  minLogprob: -3.25,
  tokens: 48,
  entropy: 0.4125,
  margin: 0.6125,
  structure: 'ok',
  tool: 'declared',
  grounded: 0.875,
  calibration: 'default',
};

const json = (value: unknown): string => `'${JSON.stringify(value)}'`;

/**
 * Inserts the rows numbered `from` to `to`, evenly spread over time: two thirds answered locally, a sixth escalated, a
 * seventh sent to the cloud at once, a few failed. Each column draws its own random number where it is not derived.
 */
export function insertRows(sql: Sql, startMs: number, from: number, to: number): string {
  const time = `cast(${Math.round(startMs)} + n * ${1000 / rowsPerSecond} as bigint)`;
  // Materialized, or SQLite would draw anew for each column that uses a number.
  return `insert into requests with numbered as materialized (
      select n, ${time} as t, ${sql.random} as r, ${sql.random} as r2 from ${sql.numbers(from, to)} as numbers
    ), drawn as (
      select n, t, r, r2, case when r < 0.65 or r > 0.9995 then 'local' when r < 0.97 then 'cloud' end as route from numbered
    ) select ${sql.hex('t / 65536', 8)} || '-' || ${sql.hex('t % 65536', 4)} || '-7' || ${sql.hex('n % 4096', 3)} || '-8' || ${sql.hex('n / 4096 % 4096', 3)} || '-' || ${sql.hex('cast(r * 200000000000 as bigint)', 12)},
      t, case when r < 0.5 then 'team-a' else 'team-b' end, 'auto', 1, case when route is null then 502 else 200 end,
      case when route is null then 'upstream_timeout' end, case when route is null then 'upstream' end,
      route, case route when 'local' then 'embedded' when 'cloud' then case when r < 0.9999999 then 'gemini' else 'openrouter' end end,
      case route when 'local' then 'qwen2.5-coder-0.5b' when 'cloud' then 'gemini-2.5-flash' end,
      case when r < 0.4 then 'confident' when r < 0.65 then 'local_first' when r < 0.8 then 'low_confidence' when r < 0.999999 then 'prompt_too_long' else 'images_unsupported' end,
      '["confident","local_first"]',
      case when r < 0.65 then ${json([local])} when r < 0.8 then ${json([escalated, cloud])} else ${json([cloud])} end,
      case when r > 0.999 and route = 'local' then 1 else 0 end,
      r, 0.7, ${json(features)}, ${json(signals)}, 412, 'bound', 412, 96, 0, 128, 0,
      case when route = 'cloud' then 0.000364 else 0 end, case when route = 'local' then 0.000364 end,
      case when route is not null then 'stop' end, null,
      exp(4 + r2 * 5), exp(3 + r2 * 4), exp(3 + r2 * 4), 0.25, case when r < 0.8 then 812.5 end, case when route = 'cloud' then 1204.25 end, 412.5, 0.75, '[]'
    from drawn`;
}
