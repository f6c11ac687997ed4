import type { DeviceBackend } from '../backends/engines/device/device-backend.ts';
import type { FleetView } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { ReadyInfo, StartupListener } from './running-app.ts';

export interface StartupOptions {
  readonly clock: Clock;
  readonly processStartMs: number;
  readonly listener: StartupListener;
  readonly url: string;
  readonly needsKey: boolean;
  readonly embedded: DeviceBackend | undefined;
  readonly fleet: () => FleetView;
}

const lookMs = 100;

/**
 * Tells how the start goes until the embedded model is loaded, or has failed to, or there is none to wait for.
 * @returns stops telling
 */
export function announceStart(options: StartupOptions): () => void {
  const { clock, listener, embedded, url } = options;
  let cancel = (): void => {};
  let told: DeviceBackend['progress'];
  listener.listening(url);
  look();
  return () => cancel();

  function look(): void {
    const progress = embedded?.progress;
    if (progress !== undefined && progress !== told && progress.phase !== 'prefill') {
      told = progress;
      listener.progress({
        phase: progress.phase,
        done: progress.done,
        total: progress.total,
        what: progress.what ?? 'the model',
      });
    }
    // The first moments of a child are 'loading'; 'down' with no session is its failure to start or to load.
    if (embedded?.status().state === 'loading') cancel = clock.schedule(lookMs, look);
    else listener.ready(readyInfo(options));
  }
}

function readyInfo({ clock, processStartMs, url, needsKey, embedded, fleet }: StartupOptions): ReadyInfo {
  const { backends } = fleet();
  const cloud = backends.filter(({ tier }) => tier === 'cloud').map(({ id }) => id);
  const shown = url.replace('//127.0.0.1:', '//localhost:');
  const base = {
    url: shown,
    dashboardUrl: `${shown}/dashboard`,
    cloud,
    needsKey,
    startupMs: Math.round(clock.nowMs() - processStartMs),
  };
  const local = backends.find(({ tier }) => tier === 'local');
  if (local === undefined) return base;
  const { state, detail, decodeRate } = local.status;
  return {
    ...base,
    local: {
      model: local.models[0] ?? local.id,
      engine: embedded === undefined ? local.id : (embedded.engine ?? 'llama.cpp'),
      ...(decodeRate === undefined ? {} : { decodeRate }),
      ...(state === 'ready' || detail === undefined ? {} : { problem: detail }),
    },
  };
}
