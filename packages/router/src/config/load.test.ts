import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ConfigError } from './config-error.ts';
import type { LfoConfig } from './config.ts';
import type { Environment } from './environment.ts';
import { loadConfig } from './load.ts';
import { secretsOf, shownSettings } from './show.ts';

interface Setup {
  readonly env?: Environment;
  readonly yaml?: string;
  readonly dotEnv?: string;
}

function folder(t: TestContext, { yaml, dotEnv }: Setup): string {
  const cwd = mkdtempSync(join(tmpdir(), 'lfo-config-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  if (yaml !== undefined) writeFileSync(join(cwd, 'lfo.yaml'), yaml, { mode: 0o600 });
  if (dotEnv !== undefined) writeFileSync(join(cwd, '.env'), dotEnv);
  return cwd;
}

function load(t: TestContext, setup: Setup): LfoConfig {
  return loadConfig({ env: { HOME: '/home/someone', ...setup.env }, cwd: folder(t, setup) });
}

test('a command that opens no port may run before there is a key, and a router where keys are in another database', (t) => {
  const env = { HOME: '/home/someone', HOST: '0.0.0.0' };
  assert.equal(loadConfig({ env, cwd: folder(t, {}), opensNoPort: true }).server.host, '0.0.0.0');
  assert.equal(load(t, { env: { ...env, DATABASE_URL: 'postgresql://lfo@db/lfo' } }).server.host, '0.0.0.0');
});

function problemsOf(t: TestContext, setup: Setup): string[] {
  try {
    load(t, setup);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split('\n');
  }
  return assert.fail('the configuration was accepted');
}

test('nothing at all is a configuration', (t) => {
  const config = load(t, {});
  assert.equal(config.server.host, '127.0.0.1');
  assert.equal(config.server.port, 8080);
  assert.equal(config.server.authToken, undefined);
  assert.deepEqual(config.routing, {
    maxLocalTokens: 1500,
    confidenceThreshold: 0.7,
    predictGain: false,
    usdPerSecond: 0.002,
    firstTokenBudgetMs: 10_000,
    goal: {},
    rules: [],
    canonicalHead: true,
    modelNames: [],
  });
  assert.deepEqual(config.gate, {
    policy: 'judge',
    calibration: 'auto',
    shadowRate: 0,
    maxHoldTokens: 48,
    maxHoldMs: 20_000,
    maxFormatMs: 60_000,
    maxFormatBytes: 1_048_576,
    sampleLocal: 0,
    secondOpinion: false,
    hedge: false,
    hedgeShare: 0.08,
  });
  assert.deepEqual(config.budgets.local, { connectMs: 2000, firstTokenMs: 120_000, idleMs: 30_000, totalMs: 600_000 });
  assert.equal(config.budgets.cloud.connectMs, 5000);
  assert.equal(config.limits.bodyBytes, 16 * 1024 * 1024);
  assert.equal(config.embedded.enabled, true);
  assert.equal(config.dataDir, '/home/someone/.local/share/lfo');
  assert.equal(config.embedded.modelsDir, '/home/someone/.local/share/lfo/models');
  assert.deepEqual(config.backends, []);
  assert.deepEqual(config.warnings, []);
  assert.equal(config.file, undefined);
});

const variables: readonly (readonly [Environment, (config: LfoConfig) => unknown, unknown])[] = [
  [{ PORT: '0' }, (c) => c.server.port, 0],
  [{ MAX_LOCAL_TOKENS: '20' }, (c) => c.routing.maxLocalTokens, 20],
  [{ LFO_CONFIDENCE_THRESHOLD: '0.25' }, (c) => c.routing.confidenceThreshold, 0.25],
  [{ LFO_LOCAL_MODEL: 'none' }, (c) => c.embedded.enabled, false],
  [{ LFO_LOCAL_MODEL: 'smollm2-135m' }, (c) => c.embedded.model, 'smollm2-135m'],
  [{ LFO_LOCAL_MODEL: '/m/x.gguf' }, (c) => c.embedded.model, '/m/x.gguf'],
  [{ LFO_LOCAL_MODEL: 'hf:a/b/c.gguf' }, (c) => c.embedded.model, 'hf:a/b/c.gguf'],
  [{ LFO_MODELS_DIR: '/m' }, (c) => c.embedded.modelsDir, '/m'],
  [{ LFO_MODEL_BASE_URL: 'http://127.0.0.1:9' }, (c) => c.embedded.modelBaseUrl, 'http://127.0.0.1:9'],
  [{ LFO_DATA_DIR: '/d' }, (c) => [c.dataDir, c.embedded.modelsDir], ['/d', '/d/models']],
  [{ XDG_DATA_HOME: '/x' }, (c) => c.dataDir, '/x/lfo'],
  [{ LFO_OFFLINE: '1' }, (c) => c.offline, true],
  [{ LFO_OFFLINE: '0' }, (c) => c.offline, false],
  [{ LFO_LOG_LEVEL: 'debug' }, (c) => c.logLevel, 'debug'],
  [{ DATABASE_URL: 'postgresql://u:p@h/d' }, (c) => c.databaseUrl, 'postgresql://u:p@h/d'],
  [{ HOST: '0.0.0.0', LFO_AUTH_TOKEN: 'a-long-enough-key' }, (c) => c.server.host, '0.0.0.0'],
  [{ ANDROID_HOST: '10.0.0.7' }, (c) => c.fleet.dial, [{ host: '10.0.0.7', port: 5555 }]],
  [{ ANDROID_HOST: '10.0.0.7', ANDROID_PORT: '5' }, (c) => c.fleet.dial, [{ host: '10.0.0.7', port: 5 }]],
  [{ ANDROID_PORT: '5' }, (c) => c.fleet.dial, []],
  [{ GEMINI_API_KEY: '' }, (c) => c.backends.length, 0],
];

for (const [env, read, expected] of variables) {
  test(`the environment is read: ${JSON.stringify(env)}`, (t) => {
    assert.deepEqual(read(load(t, { env })), expected);
  });
}

test('the environment wins over .env, which wins over the file, key by key', (t) => {
  const config = load(t, {
    env: { PORT: '1111' },
    dotEnv: 'PORT=2222\nMAX_LOCAL_TOKENS=22\nLFO_LOG_LEVEL=\n',
    yaml: 'server: { port: 3333, heartbeat_ms: 333 }\nrouting: { max_local_tokens: 33, confidence_threshold: 0.3 }\nlog_level: warn\n',
  });
  assert.equal(config.server.port, 1111);
  assert.equal(config.server.heartbeatMs, 333);
  assert.equal(config.routing.maxLocalTokens, 22);
  assert.equal(config.routing.confidenceThreshold, 0.3);
  assert.equal(config.logLevel, 'warn');
});

test('GEMINI_API_KEY adds the backend gemini after those of the file, with each of its keys', (t) => {
  const config = load(t, {
    env: { GEMINI_API_KEY: 'one, two', GEMINI_MODEL: 'm', GEMINI_BASE_URL: 'http://127.0.0.1:9/' },
    yaml: 'backends:\n  - { name: ollama, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:11434/v1/" }\n',
  });
  assert.deepEqual(
    config.backends.map(({ name, baseUrl }) => [name, baseUrl]),
    [
      ['ollama', 'http://127.0.0.1:11434/v1'],
      ['gemini', 'http://127.0.0.1:9'],
    ],
  );
  assert.deepEqual(config.backends[1]?.apiKeys, ['one', 'two']);
  assert.deepEqual(config.backends[1]?.models, ['m']);
});

test('an entry of kind gemini replaces the implied one and borrows its key', (t) => {
  const config = load(t, {
    env: { GEMINI_API_KEY: 'key' },
    yaml: 'backends: [{ kind: gemini, name: google, models: [x] }]',
  });
  assert.deepEqual(
    config.backends.map(({ name, apiKeys, models }) => [name, apiKeys, models]),
    [['google', ['key'], ['x']]],
  );
});

test('models that a local server passes on to a cloud are a backend of the cloud tier', (t) => {
  const config = load(t, {
    yaml: [
      'backends:',
      '  - name: ollama',
      '    kind: openai-compatible',
      '    tier: local',
      '    base_url: http://127.0.0.1:11434/v1',
      '    models: ["qwen3:4b", "gpt-oss:120b-cloud", "minimax-m2:cloud"]',
      '',
    ].join('\n'),
  });
  assert.deepEqual(
    config.backends.map(({ name, tier, models }) => [name, tier, models]),
    [
      ['ollama', 'local', ['qwen3:4b']],
      ['ollama-cloud', 'cloud', ['gpt-oss:120b-cloud', 'minimax-m2:cloud']],
    ],
  );
});

test('variables in the file are filled in as values, never as structure', (t) => {
  const config = load(t, {
    env: { MY_PORT: '4000', MY_KEY: 'a: [b\nc: d' },
    yaml: 'server:\n  port: ${MY_PORT}\nembedded: { model: "${MODEL:-none}" }\nbackends:\n  - { kind: gemini, api_key: "${MY_KEY}" }\n',
  });
  assert.equal(config.server.port, 4000);
  assert.equal(config.embedded.enabled, false);
  assert.deepEqual(config.backends[0]?.apiKeys, ['a: [b\nc: d']);
});

test('relative paths of the file start at its folder, ~ at home', (t) => {
  const cwd = folder(t, { yaml: 'data_dir: ~/data\nembedded: { models_dir: ./m, model: ./x.gguf }\n' });
  const config = loadConfig({ env: { HOME: '/h' }, cwd: '/', file: join(cwd, 'lfo.yaml') });
  assert.equal(config.dataDir, '/h/data');
  assert.equal(config.embedded.modelsDir, join(cwd, 'm'));
  assert.equal(config.embedded.model, join(cwd, 'x.gguf'));
  assert.equal(config.file, join(cwd, 'lfo.yaml'));
});

const gemini = 'backends:\n  - kind: gemini\n    api_key: k\n';
const refused: readonly (readonly [title: string, setup: Setup, message: RegExp])[] = [
  [
    'a misspelt key',
    { yaml: '# hello\nrouting:\n  max_local_token: 3\n' },
    /^lfo\.yaml:3 routing\.max_local_token: is not a key LFO knows; did you mean max_local_tokens\?$/,
  ],
  ['a camelCase key', { yaml: 'logLevel: info' }, /did you mean log_level\?$/],
  [
    'a key like no other',
    { yaml: 'gate:\n  zebra: 1\n' },
    /^lfo\.yaml:2 gate\.zebra: .*allowed here: policy, .*max_hold_tokens, max_hold_ms, max_format_ms, max_format_bytes, sample_local$/,
  ],
  [
    'a misspelt key of a backend',
    { yaml: `${gemini}    modles: [x]\n` },
    /^lfo\.yaml:4 backends\.0\.modles: .*did you mean models\?$/,
  ],
  [
    'a key of another kind',
    { yaml: `${gemini}    dialect: google\n` },
    /^lfo\.yaml:4 .*allowed here: kind, name, tier, base_url, api_key, auth/,
  ],
  [
    'a wrong kind',
    { yaml: 'backends:\n  - { name: x, kind: opena }' },
    /^lfo\.yaml:2 backends\.0\.kind: must be openai-compatible, lfo or gemini$/,
  ],
  [
    'another LFO of the local tier that is asked to choose',
    { yaml: 'backends: [{ name: x, kind: lfo, tier: local, base_url: "http://127.0.0.1", models: [lfo-auto] }]' },
    /^lfo\.yaml:1 backends\.0\.models: "lfo-auto" may leave the network/,
  ],
  [
    'a local backend that may leave the network',
    {
      yaml: 'backends: [{ name: x, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1/v1", models: [lfo-cloud] }]',
    },
    /^lfo\.yaml:1 backends\.0\.models: "lfo-cloud" may leave the network/,
  ],
  ['a wrong type', { yaml: 'server:\n\n  port: eighty\n' }, /^lfo\.yaml:3 server\.port: must be a number$/],
  [
    'a fraction for a whole number',
    { yaml: 'server: { port: 1.5 }' },
    /^lfo\.yaml:1 server\.port: must be a whole number, not 1\.5$/,
  ],
  ['too much', { yaml: 'routing:\n  confidence_threshold: 1.2' }, /^lfo\.yaml:2 .*must be at most 1, not 1\.2$/],
  ['a word outside the list', { yaml: 'log_level: loud' }, /must be silent or fatal or .* not "loud"$/],
  [
    'a missing key',
    { yaml: 'backends:\n  - name: x\n    kind: openai-compatible\n    tier: local\n' },
    /^lfo\.yaml:2 backends\.0\.base_url: is missing$/,
  ],
  [
    'an address that is none',
    { yaml: 'backends: [{ name: x, kind: openai-compatible, tier: local, base_url: ollama }]' },
    /base_url: must be an http or https address$/,
  ],
  [
    'a name twice',
    { yaml: `${gemini}  - { kind: gemini, api_key: k }\n` },
    /^lfo\.yaml:4 backends\.1\.name: "gemini" is taken/,
  ],
  [
    'a gemini entry without a key',
    { yaml: 'backends:\n  - kind: gemini\n' },
    /^lfo\.yaml:2 backends\.0: has no key: set GEMINI_API_KEY/,
  ],
  ['a variable that is not set', { yaml: 'server:\n  auth_token: ${NOPE}\n' }, /^lfo\.yaml:2: \$\{NOPE\} is not set/],
  ['bad YAML', { yaml: 'server:\n  port: [1\n' }, /^lfo\.yaml:[23]: is not valid YAML/],
  ['a key twice', { yaml: 'offline: true\noffline: false\n' }, /^lfo\.yaml:2: is not valid YAML: .*unique/],
  ['a list for a file', { yaml: '- a\n' }, /^lfo\.yaml:1: must be a group of keys$/],
  ['a bad variable', { env: { PORT: 'http' } }, /^PORT: must be a number$/],
  [
    'a bad variable over a good file',
    { env: { PORT: '70000' }, yaml: 'server: { port: 1 }' },
    /^PORT: must be at most 65535, not 70000$/,
  ],
  ['a flag that is none', { env: { LFO_OFFLINE: 'maybe' } }, /^LFO_OFFLINE: must be true or false$/],
  [
    'a bad address of Gemini',
    { env: { GEMINI_API_KEY: 'k', GEMINI_BASE_URL: 'gemini' } },
    /^GEMINI_BASE_URL: must be an http/,
  ],
  ['a missing file', { env: { LFO_CONFIG: 'other.yaml' } }, /^other\.yaml: cannot be read/],
  [
    'an open address',
    { env: { HOST: '0.0.0.0' } },
    /^HOST: 0\.0\.0\.0 can be reached from other machines: set LFO_AUTH_TOKEN/,
  ],
  ['an open address of the file', { yaml: 'server:\n  host: "::"\n' }, /^lfo\.yaml:2 server\.host: :: can be reached/],
];

for (const [title, setup, message] of refused) {
  test(`refused with its place and the remedy: ${title}`, (t) => {
    const problems = problemsOf(t, setup);
    assert.match(problems[0] ?? '', message);
  });
}

test('every problem is named at once', (t) => {
  assert.equal(problemsOf(t, { env: { PORT: 'x' }, yaml: 'log_level: y\nfoo: 1\n' }).length, 3);
});

test('a wrong secret is never shown', (t) => {
  const canary = 'sk canary 1234';
  const all = [
    ...problemsOf(t, { env: { LFO_AUTH_TOKEN: canary } }),
    ...problemsOf(t, { env: { DATABASE_URL: `mysql://u:${canary}@h` } }),
    ...problemsOf(t, {
      yaml: `backends: [{ kind: gemini, api_key: "${canary}", tier: "${canary}" , name: "sk canary 1234" }]`,
    }),
  ];
  assert.equal(
    all.some((line) => line.includes('api_key') && line.includes(canary)),
    false,
  );
  assert.equal(
    all.some((line) => /TOKEN|DATABASE/.test(line) && line.includes('canary')),
    false,
  );
});

test('keys that were given out open other addresses too', (t) => {
  const cwd = folder(t, {});
  mkdirSync(join(cwd, 'data'));
  writeFileSync(join(cwd, 'data', 'keys.json'), '{}');
  const env = { HOST: '0.0.0.0', LFO_DATA_DIR: join(cwd, 'data') };
  assert.equal(loadConfig({ env, cwd }).server.host, '0.0.0.0');
});

test('traces go to the own network unless the operator says otherwise', (t) => {
  const near = load(t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' } });
  assert.deepEqual(near.telemetry, { otlpEndpoint: 'http://127.0.0.1:4318', otlpHeaders: {}, allowRemote: false });
  const [problem] = problemsOf(t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otlp.example.com' } });
  assert.match(problem ?? '', /^OTEL_EXPORTER_OTLP_ENDPOINT: is beyond your own network/);
  const yaml =
    'telemetry: { otlp_endpoint: "https://otlp.example.com", allow_remote: true, otlp_headers: { k: canary } }';
  const far = load(t, { yaml });
  assert.equal(far.telemetry.allowRemote, true);
  assert.doesNotMatch(JSON.stringify(shownSettings(far)), /canary/);
  assert.ok(secretsOf(far).includes('canary'));
});

test('what is shown can be read again and comes to the same', (t) => {
  const yaml = `
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:1/v1", capabilities: { json_schema: true } }
  - { kind: gemini, api_key: "one,two" }
prices: { snake_case_model: { prompt: 1, completion: 2 } }
telemetry: { otlp_endpoint: "http://127.0.0.1:4318", otlp_headers: { some_header: canary } }
embedded: { model: none }
records: { capture: true }
android: { host: 192.0.2.1 }
limits: { queue: 3 }
`;
  const config = load(t, { yaml });
  const shown = JSON.stringify(shownSettings(config));
  assert.doesNotMatch(shown, /canary|one,two/);
  const env = { LFO_SECRET_TELEMETRY_OTLP_HEADERS_SOME_HEADER: 'canary', LFO_SECRET_BACKENDS_1_API_KEY: 'one,two' };
  const again = load(t, { yaml: shown, env });
  assert.equal(JSON.stringify(shownSettings(again)), shown);
  assert.deepEqual([again.backends, again.telemetry], [config.backends, config.telemetry]);
  assert.deepEqual([again.prices, again.embedded, again.limits], [config.prices, config.embedded, config.limits]);
});

test('each setting tells where it came from, and secrets the variable that stands for them', (t) => {
  const yaml = `
server: { port: 9000, auth_token: "literal-secret-of-the-file-012345" }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:1/v1", api_key: "\${NEAR_KEY}" }
`;
  const env = { NEAR_KEY: 'k', GEMINI_API_KEY: 'g', MAX_LOCAL_TOKENS: '99' };
  const { origins, references } = load(t, { yaml, env });
  const of = (...paths: readonly string[]) => paths.map((path) => origins[path]);
  assert.deepEqual(
    of('server.port', 'routing.max_local_tokens', 'server.host', 'backends.0.name', 'backends.1.api_key'),
    ['lfo.yaml:2', 'MAX_LOCAL_TOKENS', undefined, 'lfo.yaml:4', 'GEMINI_API_KEY'],
  );
  assert.deepEqual(references, {
    'server.auth_token': '${LFO_SECRET_SERVER_AUTH_TOKEN}',
    'backends.0.api_key': '${NEAR_KEY}',
    'backends.1.api_key': '${GEMINI_API_KEY}',
  });
});

test('a file is checked without the variables it names; where LFO runs they must be set', (t) => {
  const yaml = 'server: { auth_token: "${TOKEN_OF_NOBODY}" }\ndatabase_url: "${DATABASE_OF_NOBODY}"';
  const cwd = folder(t, { yaml });
  const { warnings } = loadConfig({ env: {}, cwd, allowUnset: true });
  assert.deepEqual(
    warnings.map((warning) => warning.split(' ')[0]),
    ['TOKEN_OF_NOBODY', 'DATABASE_OF_NOBODY'],
  );
  assert.throws(() => loadConfig({ env: {}, cwd }), /TOKEN_OF_NOBODY/);
});

const loopback = ['127.0.0.1', '127.8.9.1', 'localhost', '::1', '[::1]'];
for (const host of loopback) {
  test(`no key is needed on ${host}`, (t) => {
    assert.equal(load(t, { env: { HOST: host } }).server.host, host);
  });
}

test('oddities are warned of: exposed secrets, misspelt variables, local backends that look foreign', (t) => {
  const cwd = folder(t, {
    yaml: 'backends: [{ name: x, kind: openai-compatible, tier: local, base_url: "http://models.example.com/v1", api_key: literal }]',
  });
  chmodSync(join(cwd, 'lfo.yaml'), 0o644);
  const { warnings } = loadConfig({ env: { LFO_LOCAL_MODLE: 'x' }, cwd });
  assert.match(warnings.join('\n'), /did you mean LFO_LOCAL_MODEL\?/);
  assert.match(warnings.join('\n'), /chmod 600 lfo\.yaml/);
  assert.match(warnings.join('\n'), /does not look like your own network/);
  assert.match(warnings.join('\n'), /plain http/);
});

test('a warning says that prompts and answers are kept, in local mode only where the database is on the own network', (t) => {
  const yaml = 'records: { capture: true, capture_retention_days: 3 }';
  const here = load(t, { yaml });
  assert.match(here.warnings.join(), /kept for 3 days \(records\.capture\)/);
  assert.equal(here.records.captureLocal, true);
  const near = load(t, { yaml, env: { DATABASE_URL: 'postgresql://u@10.0.0.5/d' } });
  assert.equal(near.records.captureLocal, true);
  const elsewhere = load(t, { yaml, env: { DATABASE_URL: 'postgresql://u@db.example.com/d' } });
  assert.match(elsewhere.warnings.join(), /except for requests in mode local/);
  assert.equal(elsewhere.records.captureLocal, false);
});

test('a database is where its driver finds it: a parameter goes before the host, and PGHOST stands in for none', (t) => {
  const yaml = 'records: { capture: true }';
  const isOwn = (url: string, env = {}) => load(t, { yaml, env: { DATABASE_URL: url, ...env } }).records.captureLocal;
  assert.equal(isOwn('postgresql://u@localhost/d?host=db.example.com'), false);
  assert.equal(isOwn('postgresql:///d', { PGHOST: 'db.example.com' }), false);
  assert.equal(isOwn('postgresql://u@db.example.com/d?host=/run/pg.sock'), true);
  assert.equal(isOwn('postgresql:///d'), true);
});

test('the passwords of every address are secrets, among its parameters too, and so is a header with dots in its name', (t) => {
  const yaml = `
database_listen_url: "postgresql://u@h/d?password=canary-1"
limits_url: "redis://:canary-2@h"
telemetry: { otlp_endpoint: "http://127.0.0.1:4318", otlp_headers: { x: canary-3, x.api.key: canary-4 } }
`;
  const config = load(t, { yaml, env: { DATABASE_URL: 'postgresql://u:canary-5@h/d' } });
  assert.doesNotMatch(JSON.stringify(shownSettings(config)), /canary/);
  const canaries = secretsOf(config).filter((secret) => secret.startsWith('canary'));
  assert.deepEqual(canaries.toSorted(), ['canary-1', 'canary-2', 'canary-3', 'canary-4', 'canary-5']);
});

test('the older spelling of a device to dial is read, with a warning', (t) => {
  const yaml = 'android: { host: 10.0.0.7 }';
  const { warnings, fleet } = load(t, { yaml, env: { DATABASE_URL: 'postgresql://u:canary@h/d' } });
  assert.deepEqual(fleet.dial, [{ host: '10.0.0.7', port: 5555 }]);
  assert.deepEqual(
    warnings.map((warning) => warning.split(' ')[0]),
    ['android'],
  );
  assert.doesNotMatch(warnings.join(), /canary/);
});

test('a file that only names variables may be read by anyone', (t) => {
  const cwd = folder(t, { yaml: 'backends: [{ kind: gemini, api_key: "${GEMINI_API_KEY}" }]' });
  chmodSync(join(cwd, 'lfo.yaml'), 0o644);
  assert.deepEqual(loadConfig({ env: { GEMINI_API_KEY: 'k' }, cwd }).warnings, []);
});

for (const host of ['192.168.1.4', '10.0.0.1', 'nas', 'phone.local', '[fd00::1]', '100.100.1.1']) {
  test(`a local backend on ${host} is nothing to warn of`, (t) => {
    const yaml = `backends: [{ name: x, kind: openai-compatible, tier: local, base_url: "http://${host}:1/v1" }]`;
    assert.deepEqual(load(t, { yaml }).warnings, []);
  });
}
