import * as z from 'zod';
import { hostAndPort, isLoopback } from './addresses.ts';
import { backendEntry } from './backend-schema.ts';
import { camelKeys } from './camel-keys.ts';
import { rulesSchema } from './rules-schema.ts';

/** Marks a setting, or a group of them, that is read once at the start: a change of it takes a restart. */
const atStart = { restart: true };

const day = 86_400_000;
const mebibyte = 1_048_576;

function duration(fallback: number, text: string, max = day) {
  return z.int().min(1).max(max).default(fallback).describe(text);
}

function amount(fallback: number, text: string, max = 1_000_000_000) {
  return z.int().min(1).max(max).default(fallback).describe(text);
}

function fraction(fallback: number, text: string) {
  return z.number().min(0).max(1).default(fallback).describe(text);
}

const names = z.array(z.string().min(1));

const server = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'must be lower case letters, digits, dots and hyphens, 63 at most')
      .exactOptional()
      .describe('Name of this router in records, metrics, logs and answers; by default a random one at each start.')
      .meta(atStart),
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Address to listen on; beyond loopback a key is required.')
      .meta(atStart),
    port: z.int().min(0).max(65_535).default(8080).describe('Port to listen on; 0 picks a free one.').meta(atStart),
    ollama_port: z
      .int()
      .min(1)
      .max(65_535)
      .exactOptional()
      .describe('Port to listen on as well, for clients that look for Ollama at its own, 11434, and nowhere else.')
      .meta(atStart),
    ollama_version: z
      .string()
      .regex(/^\d+\.\d+\.\d+$/, 'must be three numbers such as 0.30.0')
      .default('0.30.0')
      .describe("Version that Ollama's clients are told; some refuse an old one.")
      .meta(atStart),
    auth_token: z
      .string()
      .regex(/^[\x21-\x7e]+$/, 'must be visible ASCII without spaces')
      .exactOptional()
      .describe('Key that clients send as `Authorization: Bearer …`.')
      .meta(atStart),
    allowed_hosts: names
      .default([])
      .describe('Further host names that are accepted; localhost, 127.0.0.1 and [::1] always are.')
      .meta(atStart),
    allowed_origins: names
      .default([])
      .describe('Web origins whose pages may call the API from a browser.')
      .meta(atStart),
    trusted_proxies: names.default([]).describe('Addresses whose X-Forwarded-For is believed.').meta(atStart),
    headers_timeout_ms: duration(10_000, 'Time a client has for its headers.').meta(atStart),
    body_timeout_ms: duration(30_000, 'Time a client has for its whole request.').meta(atStart),
    heartbeat_ms: duration(10_000, 'Longest silence of a stream before a comment frame keeps it alive.', 15_000),
    slow_reader_ms: duration(60_000, 'A stream whose reader takes nothing for this long is cut.'),
    drain_ms: z
      .int()
      .min(0)
      .max(day)
      .default(0)
      .describe(
        'Time after SIGTERM in which requests are still taken, while `/ready` and `/health` say 503 and answers close their connections: for a balancer to notice.',
      ),
    shutdown_grace_ms: duration(30_000, 'Time running requests have after SIGTERM.'),
  })
  .transform(camelKeys);

const goal = z
  .strictObject({
    cloud_share: z.number().min(0).max(1).exactOptional().describe('Share of the requests in `auto` for the cloud.'),
    spend_per_day: z
      .number()
      .min(0)
      .exactOptional()
      .describe('US dollars a UTC day; beyond them local answers are preferred.'),
    spend_hard_limit: z
      .number()
      .min(0)
      .exactOptional()
      .describe('US dollars a UTC day beyond which `auto` asks no cloud.'),
    quality: z
      .number()
      .min(0)
      .max(1)
      .exactOptional()
      .describe("Least accuracy as a share of the cloud's, reached with 90 % confidence; needs labelled answers."),
    risk: z
      .number()
      .min(0)
      .max(1)
      .exactOptional()
      .describe('Most requests whose local answer is worse than the cloud’s, as a share; needs labelled answers.'),
  })
  .transform(camelKeys);

const routing = z
  .strictObject({
    max_local_tokens: z
      .int()
      .min(0)
      .max(10_000_000)
      .default(1500)
      .describe('Longer prompts go to the cloud in mode `auto`.'),
    confidence_threshold: fraction(0.7, 'Local answers below it are replaced by a cloud answer in mode `auto`.'),
    goal: goal
      .prefault({})
      .describe('What is wanted of the gate instead of a number; of several the strictest binds. None by default.'),
    predict_gain: z
      .boolean()
      .default(false)
      .describe(
        'Weighs before anything runs whether a local attempt is expected to save what it costs, by the request, the waits and the prices; where it is not, the cloud comes first in `auto`.',
      ),
    usd_per_second: z
      .number()
      .min(0)
      .max(1)
      .default(0.002)
      .describe(
        'What a second of waiting is worth, in US dollars; `predict_gain` and `gate.hedge` weigh it against prices.',
      ),
    first_token_budget_ms: duration(10_000, 'Longest acceptable predicted wait for the first local token in `auto`.'),
    rules: rulesSchema
      .default([])
      .describe('What you decide yourself: all rules that match vote, in order, beside the built-in policies.'),
    canonical_head: z
      .boolean()
      .default(true)
      .describe(
        'Takes out of system texts what some agents change in them with every request, so that models find the rest in their caches.',
      ),
    model_names: z
      .array(z.strictObject({ match: z.string().min(1).max(200), mode: z.enum(['local', 'cloud', 'auto']) }))
      .max(200)
      .default([])
      .describe(
        'Modes of model names that nobody serves; `*` stands for anything, what is between stars for whole words. The last match wins; small models of several vendors (`*haiku*`, `*mini*`, `*flash-lite*`) run in `auto` unless a rule says otherwise.',
      ),
  })
  .transform(camelKeys);

const gate = z
  .strictObject({
    policy: z
      .enum(['judge', 'observe', 'shadow'])
      .default('judge')
      .describe(
        '`judge` holds local answers back until they are judged; `observe` lets them pass and only records the verdict; `shadow` judges too, and runs the local model beside what goes to the cloud, to see what could have stayed.',
      ),
    calibration: z
      .string()
      .min(1)
      .default('auto')
      .describe(
        '`auto` uses what `lfo calibrate` learned from own labels and the shipped calibration behind it; else the path of a calibration file that goes first.',
      )
      .meta(atStart),
    shadow_rate: z
      .number()
      .min(0)
      .max(0.02)
      .default(0)
      .describe('Share of accepted local answers in `auto` that the cloud is asked for too, to learn from; paid for.'),
    second_opinion: z
      .boolean()
      .default(false)
      .describe(
        'Asks an idle local model of another family for a second answer where its agreement would lift the first above the threshold, instead of going to the cloud at once.',
      ),
    hedge: z
      .boolean()
      .default(false)
      .describe(
        'Begins the cloud beside a local answer that may be held back, where the time saved is worth more than the money wasted. The first answer that is accepted wins.',
      ),
    hedge_share: z
      .number()
      .min(0)
      .max(0.5)
      .default(0.08)
      .describe('Share of the requests in `auto` of which the cloud may be begun early.'),
    max_hold_tokens: amount(48, 'Tokens of streamed text held back before the gate must decide.', 100_000),
    max_hold_ms: duration(
      20_000,
      'Time streamed text is held back before the gate must decide, and a streamed tool call before it escalates.',
    ),
    max_format_ms: duration(60_000, 'Time a streamed answer in a promised format is held back before it escalates.'),
    max_format_bytes: amount(mebibyte, 'Size of a streamed answer in a promised format beyond which it escalates.'),
    sample_local: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe(
        'Share of the answers of model servers in mode `local` that are scored although nothing depends on it: they then carry a confidence, and cost the server more.',
      ),
  })
  .transform(camelKeys);

function tierBudgets(connectMs: number, what: string) {
  return z
    .strictObject({
      connect_ms: duration(connectMs, 'Name look-up, TCP and TLS together.').meta(atStart),
      first_token_ms: duration(120_000, "To the first content; extended only by the backend's keep-alives."),
      idle_ms: duration(30_000, 'Between two pieces of an answer.'),
      total_ms: duration(600_000, 'For one attempt.'),
    })
    .transform(camelKeys)
    .prefault({})
    .describe(what);
}

const budgets = z
  .strictObject({
    local: tierBudgets(2_000, 'For backends of the local tier.'),
    cloud: tierBudgets(5_000, 'For backends of the cloud tier.'),
  })
  .transform(camelKeys);

const limits = z
  .strictObject({
    body_bytes: amount(16 * mebibyte, 'Size of a request.').meta(atStart),
    body_depth: amount(100, 'Nesting of a request.', 1_000).meta(atStart),
    messages: amount(2_048, 'Messages in a request.').meta(atStart),
    tools: amount(128, 'Tools in a request.').meta(atStart),
    upstream_event_bytes: amount(mebibyte, "One line or event of a backend's stream.").meta(atStart),
    answer_bytes: amount(16 * mebibyte, 'Size of an answer; it ends with `length` there.').meta(atStart),
    answer_tokens: amount(65_536, 'Tokens of an answer; it ends with `length` there.'),
    concurrency: amount(1_024, 'Requests running at once.'),
    queue: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(1_024)
      .describe('Requests that may wait for a backend while all are full.'),
    queue_wait_ms: duration(30_000, 'Longest such wait.'),
    failed_auth_per_minute: amount(100, 'Wrong keys a minute from one address before it gets 429.').meta(atStart),
    store_wait_ms: duration(
      50,
      'Longest silence of the store that counts for several routers before a request goes on without it; ten times as long where it could only be refused.',
      10_000,
    ).meta(atStart),
    on_outage: z
      .enum(['share', 'deny', 'allow'])
      .default('share')
      .describe(
        "What keys with limits get while the store that counts for several routers is away: this router's share of what was left, nothing (503), or everything.",
      )
      .meta(atStart),
    fetch_images: z
      .boolean()
      .default(false)
      .describe('Whether `http(s)` image addresses in requests are fetched.')
      .meta(atStart),
  })
  .transform(camelKeys);

const retry = z
  .strictObject({
    max_retries: z
      .int()
      .min(0)
      .max(10)
      .default(2)
      .describe('Further calls of one request to backends that have failed it; another backend is always tried first.'),
    budget_ratio: fraction(0.2, 'Calls to backends that have failed a request, allowed as a share of requests.'),
    base_delay_ms: duration(200, 'First pause before a retry; it doubles, with jitter.'),
    max_delay_ms: duration(2_000, 'Longest pause before a retry.'),
    max_retry_after_ms: duration(2_000, 'A longer Retry-After is passed to the client instead of waited for.'),
  })
  .transform(camelKeys);

const breaker = z
  .strictObject({
    failures: amount(5, 'Failures in a row after which a backend is left alone for a while.', 10_000),
    open_ms: duration(5_000, 'First time it is left alone; doubles with each failed trial.'),
    max_open_ms: duration(300_000, 'Longest time it is left alone.'),
  })
  .transform(camelKeys);

const records = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Whether a row is kept of each request; it holds no prompt and no answer.'),
    retention_days: amount(90, 'Rows are deleted after this many days; the counts of the trends stay.', 36_500),
    max_rows: amount(
      5_000_000,
      'The oldest rows are deleted beyond this many; 1.5 kB each, 2.7 where a local answer was judged.',
    ),
    capture: z
      .boolean()
      .default(false)
      .describe('Whether prompts and answers are kept too, for those who may open the dashboard.'),
    capture_retention_days: amount(7, 'Prompts and answers are deleted after this many days.', 36_500),
  })
  .transform(camelKeys);

const telemetry = z
  .strictObject({
    otlp_endpoint: z
      .url({ protocol: /^https?$/, error: 'must be an http or https address' })
      .exactOptional()
      .describe('Collector that takes traces over OTLP/HTTP, without `/v1/traces`; absent: none are sent.'),
    otlp_headers: z.record(z.string(), z.string()).default({}).describe('Headers the collector wants, such as a key.'),
    allow_remote: z
      .boolean()
      .default(false)
      .describe('Whether the collector may be beyond your own network; requests in mode `local` are not sent there.'),
  })
  .transform(camelKeys);

const price = z
  .strictObject({
    prompt: z.number().nonnegative().describe('Of a prompt token.'),
    cached: z.number().nonnegative().exactOptional().describe('Of one served from a cache; default: as `prompt`.'),
    completion: z.number().nonnegative().describe('Of a token of the answer, reasoning included.'),
  })
  .transform(({ prompt, cached = prompt, completion }) => ({ prompt, cached, completion }));

const embedded = z
  .strictObject({
    model: z
      .string()
      .min(1)
      .default('qwen2.5-coder-0.5b')
      .describe('Name of the catalogue, path of a GGUF file, `hf:owner/repo/file`, or `none` for no embedded model.'),
    embedding_model: z
      .string()
      .min(1)
      .default('none')
      .describe(
        'Model that turns texts into vectors for `/v1/embeddings`, in a process of its own: `all-minilm-l6-v2`, a path, `hf:owner/repo/file`, or `none`.',
      ),
    models_dir: z
      .string()
      .min(1)
      .exactOptional()
      .describe('Folder of the model files; default: `models` in the data folder.'),
    model_base_url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https address' })
      .exactOptional()
      .describe('Mirror of the model hub.'),
    context_tokens: z.int().min(256).max(1_048_576).default(8_192).describe('Context length of one slot.'),
    slots: amount(2, 'Requests answered at once by the embedded model.', 64),
    threads: z.int().min(1).max(1_024).exactOptional().describe('Default: one fewer than the cores.'),
    gpu: z.enum(['auto', 'none']).default('auto').describe('Whether a graphics processor is used where there is one.'),
  })
  .transform(camelKeys);

const dialAddress = z.strictObject({
  host: z.string().min(1).describe('Its address.'),
  port: z.int().min(1).max(65_535).default(5555).describe('Its port.'),
});

const fleet = z
  .strictObject({
    listen: z
      .string()
      .default('auto')
      .superRefine((text, context) => {
        if (text !== 'auto' && text !== 'off' && hostAndPort(text) === undefined)
          context.addIssue({ code: 'custom', message: 'must be auto, off or host:port' });
      })
      .describe(
        'Where devices dial this router: `auto` is port 4870 on all addresses once a device is paired or pairing begins, `off` is nowhere, else `host:port`.',
      ),
    name: z
      .string()
      .min(1)
      .max(64)
      .exactOptional()
      .describe('What devices call this router; default: the name of the machine.'),
    advertise: z
      .boolean()
      .default(true)
      .describe(
        'Whether devices of the same network find this router by mDNS (`_lfo._tcp`) while it listens beyond its own machine.',
      ),
    models: names
      .default([])
      .describe(
        'Models of devices that may be asked for by their plain id, beside those of `lfo models list`; `<model>@<device>` and the aliases reach all others.',
      ),
    legacy: z
      .boolean()
      .default(false)
      .describe('Whether programs of this machine may ask by one line of JSON over the fleet port, without a key.'),
    plaintext: z
      .boolean()
      .default(false)
      .describe(
        'For debugging: programs of this machine may join as devices without handshake and encryption; `listen` must be an address of this machine alone.',
      ),
    dial: z
      .array(dialAddress)
      .default([])
      .describe('Devices that wait for the router to dial; the log says how each is paired.'),
    heartbeat_ms: z.int().min(1_000).max(day).default(20_000).describe('How often a device is to repeat its state.'),
    grace_ms: z
      .int()
      .min(0)
      .max(30_000)
      .default(10_000)
      .describe('How long an answer under way waits for a device whose link was lost; 0 gives it up at once.'),
    min_battery: z
      .number()
      .min(0)
      .max(100)
      .exactOptional()
      .describe(
        'Percent below which devices on battery are to take nothing, where their owners allow less; default: as each owner says.',
      ),
    max_thermal: z
      .int()
      .min(0)
      .max(6)
      .exactOptional()
      .describe(
        'Thermal status (0 none to 6 shut-down) from which devices are to take nothing; default: as each owner says.',
      ),
  })
  .superRefine(({ plaintext, listen }, context) => {
    if (!plaintext || isLoopback(hostAndPort(listen)?.host ?? '')) return;
    const message = 'needs listen to be an address of this machine alone, such as 127.0.0.1:4870';
    context.addIssue({ code: 'custom', path: ['plaintext'], message });
  })
  .transform(camelKeys);

/** Levels of the log, most severe first. */
const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

/**
 * The whole of `lfo.yaml`. Every setting is spelled here and nowhere else, as in the file, and comes out in
 * camelCase; every key has a default, so `{}` is a valid file. Descriptions end up in the JSON Schema and in the reference.
 */
export const configFile = z
  .strictObject({
    server: server.prefault({}).describe('The HTTP server.'),
    routing: routing.prefault({}).describe('Where requests go.'),
    gate: gate.prefault({}).describe('How long a local answer is held back to be judged.'),
    budgets: budgets.prefault({}).describe('Time a backend has.'),
    limits: limits.prefault({}).describe('What a request or an answer may cost.'),
    retry: retry.prefault({}).describe('What happens when a backend fails.').meta(atStart),
    breaker: breaker.prefault({}).describe('When a failing backend is left alone.').meta(atStart),
    records: records.prefault({}).describe('What is remembered of requests.'),
    telemetry: telemetry
      .prefault({})
      .describe('Where traces of requests are sent; they hold no prompt and no answer.')
      .meta(atStart),
    embedded: embedded.prefault({}).describe('The model that runs on this machine.').meta(atStart),
    prices: z
      .record(z.string().min(1), price)
      .default({})
      .describe('Prices by model, in US dollars a million tokens; they go before the list prices LFO ships with.'),
    backends: z.array(backendEntry).default([]).describe('Further backends, in order of preference.'),
    data_dir: z.string().min(1).exactOptional().describe('Folder of the database and the models.').meta(atStart),
    database_url: z
      .url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// address' })
      .exactOptional()
      .describe('PostgreSQL instead of SQLite in the data folder.')
      .meta(atStart),
    database_listen_url: z
      .url({ protocol: /^postgres(ql)?$/, error: 'must be a postgresql:// address' })
      .exactOptional()
      .describe(
        'The same database reached directly, where `database_url` is a PgBouncer in transaction mode; without it changes are polled for twice a second.',
      )
      .meta(atStart),
    database_migrate: z
      .enum(['auto', 'off'])
      .default('auto')
      .describe('Whether a router brings the schema up to date when it starts; else `lfo db migrate` does.')
      .meta(atStart),
    limits_url: z
      .url({ protocol: /^(redis|valkey)s?$/, error: 'must be a redis:// or rediss:// address' })
      .exactOptional()
      .describe(
        'Redis or Valkey that counts what limited keys use, for several routers with more than 500 such requests a second; default: the database.',
      )
      .meta(atStart),
    log_level: z.enum(logLevels).default('info').describe('Least severe log lines that are written.'),
    offline: z.boolean().default(false).describe('Never fetch a model.').meta(atStart),
    fleet: fleet.prefault({}).describe('Phones, laptops and boards that answer requests.').meta(atStart),
    android: dialAddress.exactOptional().describe('An older spelling of one entry of `fleet.dial`.').meta(atStart),
  })
  .transform(camelKeys);

/** The file with defaults filled in, keys as the program spells them. */
export type FileSettings = z.output<typeof configFile>;
