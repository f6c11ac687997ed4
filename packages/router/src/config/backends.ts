import {
  type BackendEntry,
  geminiBaseUrl,
  geminiEmbeddingModel,
  geminiEntry,
  type GeminiEntry,
  geminiModel,
} from './backend-schema.ts';
import { isPrivateHost } from './addresses.ts';
import { isCloudModel } from './cloud-models.ts';
import type { BackendConfig, GeminiBackendConfig, HttpBackendConfig } from './config.ts';
import type { Environment } from './environment.ts';

/** Collects what is wrong or odd with an entry of the file; `index` is its place in `backends`. */
export interface Findings {
  problem(path: readonly PropertyKey[], message: string): void;
  warning(message: string): void;
}

/** The backends of the file, and the implied `gemini` last where a key is set and the file has none of that kind. */
export function resolveBackends(
  entries: readonly BackendEntry[],
  env: Environment,
  findings: Findings,
): BackendConfig[] {
  const backends = entries.flatMap((entry, index) => {
    const backend = resolveEntry(entry, index, env, findings);
    return backend.kind === 'gemini' ? [backend] : splitByTier(backend, index, findings);
  });
  if (!backends.some(({ kind }) => kind === 'gemini')) {
    const implied = impliedGemini(env, findings);
    if (implied !== undefined) backends.push(implied);
  }
  const seen = new Set(['embedded', 'embeddings', 'lfo']);
  backends.forEach(({ name }, index) => {
    if (seen.has(name)) findings.problem(['backends', index, 'name'], `"${name}" is taken: names must be unique`);
    seen.add(name);
  });
  return backends;
}

function resolveEntry(entry: BackendEntry, index: number, env: Environment, findings: Findings): BackendConfig {
  if (entry.kind === 'gemini') {
    const resolved = resolveGemini(entry, env, findings);
    if (resolved.apiKeys.length === 0) {
      findings.problem(['backends', index], 'has no key: set GEMINI_API_KEY or add api_key');
    }
    return resolved;
  }
  if (entry.kind === 'openai-compatible' && entry.wake !== undefined && entry.tier === 'cloud')
    findings.problem(['backends', index, 'wake'], 'is for servers of the local tier');
  noteTier(entry.name, entry.tier, entry.baseUrl, findings);
  const { apiKey, baseUrl, ...rest } = entry;
  return { ...rest, baseUrl: addressOf(entry.kind, baseUrl), apiKeys: splitKeys(apiKey) };
}

/** Of another LFO the address alone will do. */
function addressOf(kind: BackendEntry['kind'], baseUrl: string): string {
  const url = trimSlash(baseUrl);
  return kind === 'lfo' && new URL(url).pathname === '/' ? `${url}/v1` : url;
}

/**
 * A local server may itself pass models on to a cloud. Those that its entry names become a backend of the cloud tier at
 * the same address; the others stay local.
 */
function splitByTier(backend: HttpBackendConfig, index: number, findings: Findings): readonly BackendConfig[] {
  const named = [...backend.models, ...backend.fallbackModels, ...backend.embeddingModels];
  if (backend.tier === 'cloud' || !named.some(isCloudModel)) return [backend];
  const roaming = named.find((model) => model === 'lfo-auto' || model === 'lfo-cloud');
  if (roaming !== undefined) {
    const message = `"${roaming}" may leave the network: a local backend offers "lfo-local" instead, or set tier: cloud`;
    findings.problem(['backends', index, 'models'], message);
    return [backend];
  }
  const local = withModels(backend, (model) => !isCloudModel(model));
  const cloud = cloudPartOf(backend, isCloudModel);
  findings.warning(passesOn(backend, cloud));
  if (local.models.length === 0 && backend.models.length > 0) return [cloud];
  return cloud.models.length === 0 ? [local] : [local, cloud];
}

/** The models of a local entry that its server passes on to a cloud, as the backend that they are. */
export function cloudPartOf(backend: HttpBackendConfig, isPassedOn: (model: string) => boolean): HttpBackendConfig {
  const { capabilities, name } = backend;
  return {
    ...withModels(backend, isPassedOn),
    name: `${name}-cloud`,
    tier: 'cloud',
    capabilities: { ...capabilities, images: capabilities.images ?? false },
  };
}

/** Said to the operator. */
export function passesOn(backend: Pick<HttpBackendConfig, 'name'>, cloud: Pick<HttpBackendConfig, 'name'>): string {
  return `Backend ${backend.name} names models that its server passes on to a cloud: they are the cloud backend ${cloud.name}.`;
}

function withModels(backend: HttpBackendConfig, isWanted: (model: string) => boolean): HttpBackendConfig {
  return {
    ...backend,
    models: backend.models.filter(isWanted),
    fallbackModels: backend.fallbackModels.filter(isWanted),
    embeddingModels: backend.embeddingModels.filter(isWanted),
  };
}

/** What the entry leaves open comes from the environment. */
function resolveGemini(entry: GeminiEntry, env: Environment, findings: Findings): GeminiBackendConfig {
  const { apiKey, baseUrl = env['GEMINI_BASE_URL'] ?? geminiBaseUrl, models, ...rest } = entry;
  if (!/^https?:\/\//.test(baseUrl) || !URL.canParse(baseUrl)) {
    findings.problem(['GEMINI_BASE_URL'], 'must be an http or https address');
  }
  return {
    ...rest,
    baseUrl: trimSlash(baseUrl),
    apiKeys: splitKeys(apiKey ?? env['GEMINI_API_KEY']),
    models: models.length > 0 ? models : [env['GEMINI_MODEL'] ?? geminiModel],
    embeddingModels: entry.embeddingModels ?? (entry.auth === 'bearer' ? [] : [geminiEmbeddingModel]),
  };
}

function impliedGemini(env: Environment, findings: Findings): GeminiBackendConfig | undefined {
  if (splitKeys(env['GEMINI_API_KEY']).length === 0) return undefined;
  return resolveGemini(geminiEntry.parse({ kind: 'gemini' }), env, findings);
}

function noteTier(name: string, tier: string, baseUrl: string, findings: Findings): void {
  const url = new URL(baseUrl);
  const isPrivate = isPrivateHost(url.hostname);
  if (tier === 'local' && !isPrivate) {
    findings.warning(
      `Backend ${name} is in the local tier but its address does not look like your own network: mode "local" will send prompts there.`,
    );
  }
  if (!isPrivate && url.protocol === 'http:') {
    findings.warning(`Backend ${name} is reached over plain http: prompts and keys can be read on the way.`);
  }
}

function splitKeys(keys: string | undefined): string[] {
  return (keys ?? '')
    .split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '');
}

function trimSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
