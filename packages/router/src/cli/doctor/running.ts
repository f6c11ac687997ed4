import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { RouterClient } from '../router-client.ts';
import { plainText } from '../terminal.ts';
import { advised, broken, passed, type Check } from './check.ts';

const withinMs = 2_000;

/** What the LFO that runs at this address says of itself and of its devices; nothing where none does. */
export async function checkRunning(client: RouterClient, devices: JsonObject | undefined): Promise<Check[]> {
  const ready = await answerOf(client, '/ready');
  if (ready === undefined || typeof ready['status'] !== 'string') return [];
  return [readiness(ready), ...(devices === undefined ? [] : devicesOf(devices['devices']))];
}

function readiness(body: JsonObject): Check {
  const name = 'ready';
  const reasons = Array.isArray(body['reasons']) ? body['reasons'].map(textOf) : [];
  if (body['status'] === 'draining') return broken(name, 'LFO is ending: it takes nothing new', 'start it again');
  if (body['status'] === 'ready') {
    return passed(name, reasons.length === 0 ? 'LFO can answer' : `LFO can answer; not ready: ${reasons.join('; ')}`);
  }
  return broken(
    name,
    `LFO runs, but cannot answer${reasons.length === 0 ? '' : `: ${reasons.join('; ')}`}`,
    reasons.length === 0 ? 'set LFO_AUTH_TOKEN to its key to be told why' : 'mend what is named; it recovers by itself',
  );
}

/** One line each: a device that is away or rests is no fault of this machine, one with a conflict is. */
function devicesOf(list: JsonValue | undefined): Check[] {
  if (!Array.isArray(list)) return [];
  return list.filter(isJsonObject).map((device) => {
    const [name, state] = [textOf(device['name']), textOf(device['state'])];
    const why = device['why'] === null ? '' : `: ${textOf(device['why'])}`;
    const error = isJsonObject(device['last_error']) ? textOf(device['last_error']['message']) : undefined;
    const detail = `${state}${why}`;
    if (state === 'ready' || state === 'loading') return passed(name, detail);
    if (state === 'conflict') {
      return broken(name, detail, 'stop one of the two machines for ten minutes, or remove the device and pair both');
    }
    return advised(name, detail, error ?? fixes[state] ?? 'lfo devices list');
  });
}

const fixes: Readonly<Record<string, string>> = {
  offline: 'is it on, and can it reach the TCP port for devices here?',
  paused: 'it takes requests again by itself',
  draining: 'lfo devices resume',
  ejected: 'it is tried again by itself; lfo devices list shows its last error',
};

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? plainText(value) : '';
}

/** What the LFO that runs at this address answers; undefined where none does. */
export async function answerOf(client: RouterClient, path: string): Promise<JsonObject | undefined> {
  try {
    const { body } = await client.get(path, AbortSignal.timeout(withinMs));
    return isJsonObject(body) ? body : undefined;
  } catch {
    return undefined;
  }
}
