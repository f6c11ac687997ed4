import { settingsBody } from '@lfo/router/src/app/settings.ts';
import { loadConfig } from '@lfo/router/src/config/load.ts';
import { OverriddenConfig } from '@lfo/router/src/config/overridden.ts';
import { keyStoreOver } from '@lfo/router/src/keys/key-store.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import type { AdminDeps } from '@lfo/router/src/admin/deps.ts';
import type { BackendView } from '@lfo/router/src/core/backend.ts';
import { systemClock as clock } from '@lfo/router/src/core/clock.ts';
import type { VerifyKey } from '@lfo/router/src/core/identity.ts';
import type { RequestRow } from '@lfo/router/src/records/tables.ts';
import { beginAttempt, beginTrace, type RequestTrace } from '@lfo/router/src/core/trace.ts';
import { createDashboard } from '@lfo/router/src/admin/dashboard.ts';
import { Wakes } from '@lfo/router/src/backends/wake.ts';
import { Devices } from '@lfo/router/src/fleet/devices.ts';
import { openRouterKey } from '@lfo/router/src/fleet/router-key.ts';
import { singleKey } from '@lfo/router/src/keys/verify-key.ts';
import { createHttp, type HttpDeps } from '@lfo/router/src/app/routes.ts';
import { Recorder } from '@lfo/router/src/records/recorder.ts';
import { SqliteStore } from '@lfo/router/src/records/store/sqlite-store.ts';
import { pino } from 'pino';

import { playAnswer } from './play-answer.ts';
import { limitDefaults, plainAnswer, scriptedModels, serverDefaults } from './scripted-router.ts';

export interface DashboardServerOptions {
  readonly authToken?: string;
  /** Instead of the one key. */
  readonly verifyKey?: VerifyKey;
  readonly rows?: readonly RequestRow[];
  readonly setDraining?: AdminDeps['setDraining'];
}

/** Nobody is paired, and nothing listens. */
function noDevices(dataDir: string): Devices {
  return new Devices({
    clock,
    log: pino({ level: 'silent' }),
    registry: { list: async () => [], save: async () => {}, seen: async () => {} },
    keys: () => openRouterKey(dataDir),
    config: {
      listen: 'off',
      models: [],
      dial: [],
      heartbeatMs: 20_000,
      graceMs: 10_000,
      legacy: false,
      advertise: false,
      plaintext: false,
    },
    members: { add() {}, remove() {}, setDraining: () => false, view: () => ({ backends: [] }), onEjected() {} },
    random: () => 0,
    wakes: new Wakes(clock),
    version: '0.1.0',
  });
}

/** How long before its answer a scripted request is said to have come. */
const playedMs = 702;

/** The real server, dashboard and records around scripted answers, for tests of their interface; gone with its test. */
export async function startDashboard(t: TestContext, options: DashboardServerOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-dashboard-'));
  const store = new SqliteStore(join(folder, 'lfo.db'));
  await store.append('requests', options.rows ?? []);
  const recorder = new Recorder(store, clock);
  const verifyKey = options.verifyKey ?? singleKey(options.authToken);
  const readiness = () => ({ ready: true, reasons: [] });
  const loaded = loadConfig({ env: { HOME: folder, LFO_LOCAL_MODEL: 'none' }, cwd: folder });
  const config = new OverriddenConfig({ current: () => loaded });
  const dashboard = createDashboard({
    clock,
    store,
    verifyKey,
    refs: { refOf: (key) => key, identityOf: (key) => verifyKey(key) },
    peers: { id: 'this', name: 'this', count: 1, list: () => [], follow() {} },
    fleet: () => ({ backends: scriptedFleet }),
    readiness,
    problem: () => undefined,
    keys: keyStoreOver(store, folder),
    isKeyConfigured: options.authToken !== undefined,
    inForce: () => settingsBody(config, { version: '0.1.0', node: 'v24', router: 'demo' }),
    records: () => recorder.status(),
    keyName: () => undefined,
    setDraining: options.setDraining ?? (() => false),
    devices: noDevices(folder),
    labels: { add() {} },
    settings: { list: () => [], set: async () => ({}), unset: async () => ({}) },
    threshold: () => ({ threshold: 0.7, from: 'default', binding: null, goals: [] }),
  });

  const chat: HttpDeps['chat'] = async (exchange) => {
    const { request, receivedMs } = exchange;
    const trace = beginTrace(request, { startMs: receivedMs - playedMs, startedAtMs: clock.wallMs() - playedMs }, 0.7);
    dashboard.live.begin(request, trace);
    playAttempts(trace, clock.nowMs());
    const events = fromArray(plainAnswer('Canberra.'));
    const delivery = await playAnswer(events, exchange.open(trace));
    trace.endMs = clock.nowMs();
    dashboard.live.end(trace, delivery);
    const { clientKey } = request.hints;
    recorder.record(trace, { ...delivery, ...(clientKey !== undefined && { clientKey }) });
  };
  const app = createHttp({
    config: { server: serverDefaults, limits: limitDefaults },
    clock,
    pace: () => serverDefaults,
    log: pino({ level: 'silent' }),
    verifyKey,
    sessionAuth: dashboard.sessionAuth,
    models: () => scriptedModels,
    metrics: () => '',
    readiness,
    isDraining: () => false,
    explain: () => Promise.reject(new Error('not scripted')),
    chat,
  });
  dashboard.addTo(app);
  t.after(async () => {
    await app.close();
    await recorder.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });
  return { app, live: dashboard.live, recorder, store, listen: () => app.listen({ host: '127.0.0.1', port: 0 }) };
}

/** What the pipeline would have written of a request that went where its mode said; `auto` escalates. */
function playAttempts(trace: RequestTrace, nowMs: number): void {
  const isCloud = trace.mode !== 'local';
  if (trace.mode !== 'cloud') {
    const local = beginAttempt(trace, 'local', nowMs - 700);
    const outcome = isCloud ? 'escalated' : 'answered';
    const reason = isCloud ? 'low_confidence' : 'confident';
    Object.assign(local, { backend: 'embedded', model: 'tiny', leasedMs: nowMs - 690, firstEventMs: nowMs - 500 });
    Object.assign(local, {
      endMs: nowMs - 350,
      outcome,
      reason,
      score: isCloud ? 0.42 : 0.91,
      heldMs: 120,
      heldTokens: 9,
    });
  }
  if (isCloud) {
    const cloud = beginAttempt(trace, 'cloud', nowMs - 350);
    Object.assign(cloud, { backend: 'gemini', model: 'large', leasedMs: nowMs - 349, firstEventMs: nowMs - 90 });
    Object.assign(cloud, { endMs: nowMs, outcome: 'answered' });
  }
  Object.assign(trace, {
    route: isCloud ? 'cloud' : 'local',
    backend: isCloud ? 'gemini' : 'embedded',
    model: isCloud ? 'large' : 'tiny',
    reason: isCloud ? (trace.mode === 'auto' ? 'low_confidence' : 'mode_cloud') : 'confident',
    reasons: isCloud ? ['low_confidence', 'local_first'] : ['confident', 'local_first'],
    confidence: isCloud ? undefined : 0.91,
    promptTokens: 14,
    overheadMs: 0.6,
    firstTokenMs: nowMs - 90,
    committedMs: nowMs - 80,
    usage: { promptTokens: 14, completionTokens: 3 },
    finishReason: 'stop',
  });
}

const capabilities = {
  contextTokens: 8192,
  tools: true,
  jsonSchema: true,
  images: false,
  audio: false,
  logprobs: true,
};

/** A fleet with something of everything. */
const scriptedFleet: readonly BackendView[] = [
  {
    id: 'embedded',
    tier: 'local',
    models: ['qwen2.5-0.5b-instruct'],
    capabilities,
    status: { state: 'ready', prefillRate: 412, decodeRate: 31.4, active: 1, queued: 0, slots: 4 },
    breaker: 'closed',
    inFlight: 1,
  },
  {
    id: 'laptop',
    tier: 'local',
    models: ['qwen3:4b'],
    capabilities: { ...capabilities, contextTokens: 32_768 },
    status: { state: 'loading', progress: 0.62, detail: 'Loading the model.' },
    breaker: 'closed',
    inFlight: 0,
  },
  {
    id: 'gemini',
    tier: 'cloud',
    models: ['gemini-2.5-flash', 'gemini-2.5-pro'],
    capabilities: { tools: true, jsonSchema: true, images: true, audio: true, logprobs: false },
    status: { state: 'ready' },
    breaker: 'half-open',
    inFlight: 0,
  },
];

async function* fromArray<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
