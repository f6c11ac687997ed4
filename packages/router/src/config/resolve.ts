import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { keyCopyIn } from './data-folder.ts';
import { isLoopback, isPrivateHost } from './addresses.ts';
import { resolveBackends, type Findings } from './backends.ts';
import type { EmbeddedConfig, FleetConfig, LfoConfig, RecordsConfig } from './config.ts';
import { lintRules } from './lint-rules.ts';
import { isModelPath, type Environment } from './environment.ts';
import type { FileSettings } from './schema.ts';

/** Where settings come from, to resolve relative paths and what the file leaves to the environment. */
export interface Origin {
  readonly env: Environment;
  readonly cwd: string;
  /** Absolute. */
  readonly file: string | undefined;
  readonly opensNoPort: boolean;
}

/** Turns valid settings into the configuration; what is valid alone and wrong together goes to `findings`. */
export function resolveSettings(
  settings: FileSettings,
  origin: Origin,
  findings: Findings,
): Omit<LfoConfig, 'warnings' | 'origins' | 'references'> {
  const dataDir = dataFolder(settings.dataDir, origin);
  if (!origin.opensNoPort && !mayHaveKeys(settings, dataDir)) checkHost(settings.server, findings);
  checkToken(settings.server, findings);
  checkTelemetry(settings.telemetry, findings);
  const { android: _android, ...rest } = settings;
  const backends = resolveBackends(settings.backends, origin.env, findings);
  const names = ['embedded', ...backends.map(({ name }) => name)];
  lintRules(settings.routing.rules, { backends: names, hasDevices: settings.fleet.listen !== 'off' }, findings);
  return {
    ...rest,
    fleet: resolveFleet(settings),
    records: resolveRecords(settings, origin, findings),
    embedded: resolveEmbedded(settings.embedded, dataDir, origin),
    backends,
    dataDir,
    ...(origin.file === undefined ? {} : { file: origin.file }),
  };
}

/** Whether there are any, and good ones, is for the database to say, before anything listens. */
function mayHaveKeys({ server, databaseUrl }: FileSettings, dataDir: string): boolean {
  return server.authToken !== undefined || databaseUrl !== undefined || existsSync(keyCopyIn(dataDir));
}

function checkHost({ host }: FileSettings['server'], findings: Findings): void {
  if (isLoopback(host)) return;
  findings.problem(
    ['server', 'host'],
    `${host} can be reached from other machines: set LFO_AUTH_TOKEN to a long random key, run "lfo keys create", or use HOST=127.0.0.1`,
  );
}

function checkToken({ authToken }: FileSettings['server'], findings: Findings): void {
  if (authToken !== undefined && authToken.length < 16) {
    findings.warning('LFO_AUTH_TOKEN is short enough to be guessed: use 32 random characters or more.');
  }
}

function checkTelemetry({ otlpEndpoint, allowRemote }: FileSettings['telemetry'], findings: Findings): void {
  if (otlpEndpoint === undefined || allowRemote || isPrivateHost(new URL(otlpEndpoint).hostname)) return;
  findings.problem(
    ['telemetry', 'otlp_endpoint'],
    'is beyond your own network: set telemetry.allow_remote to true if traces may go there',
  );
}

function resolveFleet({ fleet, android }: FileSettings): FleetConfig {
  const { dial } = fleet;
  const isKnown = dial.some(({ host, port }) => host === android?.host && port === android.port);
  return { ...fleet, dial: android === undefined || isKnown ? dial : [...dial, android] };
}

function resolveRecords({ records, databaseUrl }: FileSettings, { env }: Origin, findings: Findings): RecordsConfig {
  const { capture, captureRetentionDays: days } = records;
  const captureLocal = databaseUrl === undefined || isOwnDatabase(databaseUrl, env);
  if (capture && !records.enabled) findings.problem(['records', 'capture'], 'needs records.enabled');
  if (capture) {
    const except = captureLocal
      ? ''
      : ', except for requests in mode local, as the database is beyond your own network';
    findings.warning(
      `Prompts and answers are kept for ${days} ${days === 1 ? 'day' : 'days'}${except} (records.capture).`,
    );
  }
  return { ...records, captureLocal };
}

/** Whether a database is on the user's own network. Its driver takes a parameter before the host, and PGHOST behind it. */
function isOwnDatabase(databaseUrl: string, env: Environment): boolean {
  const { hostname, searchParams } = new URL(databaseUrl);
  const named = searchParams.get('host') ?? '';
  const host = named === '' ? decodeURIComponent(hostname) : named;
  const used = host === '' ? (env['PGHOST'] ?? '') : host;
  // A path is that of a socket.
  return used.startsWith('/') || isPrivateHost(used);
}

function resolveEmbedded(embedded: FileSettings['embedded'], dataDir: string, origin: Origin): EmbeddedConfig {
  const { model, modelsDir, embeddingModel, ...rest } = embedded;
  const found = (name: string): string => (isModelPath(name) ? fromFile(name, origin) : name);
  return {
    ...rest,
    ...(embeddingModel === 'none' ? {} : { embeddingModel: found(embeddingModel) }),
    enabled: model !== 'none',
    model: found(model),
    modelsDir: modelsDir === undefined ? join(dataDir, 'models') : fromFile(modelsDir, origin),
  };
}

function dataFolder(configured: string | undefined, origin: Origin): string {
  if (configured !== undefined) return fromFile(configured, origin);
  const base = origin.env['XDG_DATA_HOME'] ?? join(home(origin), '.local', 'share');
  return join(base, 'lfo');
}

/** Relative paths of the file start at its folder; those of the environment are absolute already. */
function fromFile(path: string, origin: Origin): string {
  const expanded = path === '~' || path.startsWith('~/') ? join(home(origin), path.slice(1)) : path;
  return resolve(origin.file === undefined ? origin.cwd : dirname(origin.file), expanded);
}

function home({ env }: Origin): string {
  return env['HOME'] ?? homedir();
}
