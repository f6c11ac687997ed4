import { Agent, request } from 'undici';
import type { Clock } from '../../core/clock.ts';
import type { BackendConfig, LfoConfig } from '../../config/config.ts';
import { checkAnswers } from './answers.ts';
import { broken, passed, type Check } from './check.ts';

/**
 * Whether each configured backend answers and takes its keys, and whether those of the cloud stream and call tools.
 * Ends with the clock.
 */
export async function checkBackends(config: LfoConfig, clock: Clock): Promise<Check[]> {
  const agent = new Agent({ connectTimeout: 5_000, headersTimeout: 10_000, bodyTimeout: 10_000 });
  try {
    const answers = await Promise.all(config.backends.flatMap((backend) => probesOf(backend, agent)));
    const cloud = config.backends.some(({ tier }) => tier === 'cloud');
    const none = passed('cloud', 'off: set GEMINI_API_KEY to have answers checked and replaced');
    const taking = answers.flatMap(({ check, backend }) => (check.ok ? [backend] : []));
    const unlisted = config.backends.flatMap((backend) => (hasList(backend) ? [] : [backend.name]));
    const answering = await checkAnswers(config, new Set([...taking, ...unlisted]), clock);
    const date = answers.find((answer) => answer.date !== undefined)?.date;
    return [...answers.map(({ check }) => check), ...answering, ...(cloud ? [] : [none]), checkClock(date, clock)];
  } finally {
    await agent.destroy();
  }
}

interface Answer {
  /** Its name. */
  readonly backend: string;
  readonly check: Check;
  /** Unix milliseconds by the backend's clock. */
  readonly date?: number;
}

function probesOf(backend: BackendConfig, agent: Agent): Promise<Answer>[] {
  if (!hasList(backend)) return [];
  const keys: readonly (string | undefined)[] = backend.apiKeys.length > 0 ? backend.apiKeys : [undefined];
  return keys.map((key, index) => {
    const name = keys.length > 1 ? `${backend.name} key ${index + 1}` : backend.name;
    return probe(name, backend, key, agent);
  });
}

async function probe(name: string, backend: BackendConfig, key: string | undefined, agent: Agent): Promise<Answer> {
  try {
    const { url, headers } = modelListOf(backend, key);
    const {
      statusCode,
      headers: answered,
      body,
    } = await request(url, { headers, dispatcher: agent, signal: AbortSignal.timeout(15_000) });
    await body.dump();
    const date = Date.parse(String(answered['date']));
    return { backend: backend.name, check: judge(name, backend, statusCode), ...(Number.isNaN(date) ? {} : { date }) };
  } catch {
    const fix =
      backend.tier === 'local' ? 'start that server, or correct its base_url' : 'check the network and its base_url';
    return { backend: backend.name, check: broken(name, 'does not answer', fix) };
  }
}

/** Vertex AI lists its models elsewhere. */
function hasList(backend: BackendConfig): boolean {
  return backend.kind !== 'gemini' || backend.auth === 'api_key';
}

function modelListOf(
  backend: BackendConfig,
  key: string | undefined,
): { url: string; headers: Record<string, string> } {
  if (backend.kind !== 'gemini') {
    return { url: `${backend.baseUrl}/models`, headers: key === undefined ? {} : { authorization: `Bearer ${key}` } };
  }
  const base = /\/v\d\w*(\/|$)/.test(new URL(backend.baseUrl).pathname) ? backend.baseUrl : `${backend.baseUrl}/v1beta`;
  return { url: `${base}/models?pageSize=1`, headers: { 'x-goog-api-key': key ?? '' } };
}

function judge(name: string, backend: BackendConfig, status: number): Check {
  if (status < 300) return passed(name, backend.apiKeys.length > 0 ? 'answers and takes the key' : 'answers');
  // Gemini says 400 to a key that is none.
  if (status === 401 || status === 403 || (status === 400 && backend.kind === 'gemini')) {
    const variable = backend.kind === 'gemini' ? 'GEMINI_API_KEY' : 'its api_key';
    return broken(name, `refuses the key (${status})`, `correct ${variable}`);
  }
  if (status === 429) return broken(name, 'takes the key, but its quota is used up (429)', 'wait, or use another key');
  if (status === 404) return broken(name, 'has no model list there (404)', 'correct its base_url');
  return broken(name, `is unwell (${status})`, 'try again later');
}

const toleratedMs = 5 * 60_000;

/** A clock that is wrong breaks TLS and every record. */
export function checkClock(date: number | undefined, clock: Clock): Check {
  const now = clock.wallMs();
  const shown = new Date(now).toISOString().slice(0, 16).replace('T', ' ');
  if (date === undefined) return passed('clock', `${shown} UTC (nothing to compare with)`);
  const offMs = Math.abs(date - now);
  if (offMs <= toleratedMs) return passed('clock', `${shown} UTC`);
  return broken(
    'clock',
    `is off by ${Math.round(offMs / 60_000)} min`,
    'turn on time synchronisation: timedatectl set-ntp true',
  );
}
