import type { DeviceBackend } from '../backends/engines/device/device-backend.ts';
import type { FleetView } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { problemOf } from './problem.ts';
import type { ReadyInfo, StartupListener } from './running-app.ts';

export interface StartupOptions {
  readonly clock: Clock;
  readonly processStartMs: number;
  readonly listener: StartupListener;
  readonly url: string;
  readonly needsKey: boolean;
  readonly embedded: Pick<DeviceBackend, 'id' | 'progress' | 'engine'> | undefined;
  readonly fleet: () => FleetView;
  /** Whether every server of the own network has been looked at. */
  readonly hasLooked: () => boolean;
}

const lookMs = 100;
const laterLookMs = 1_000;

/**
 * Tells how the start goes until the embedded model is loaded, or has failed to, or there is none to wait for; from then
 * on whenever requests can be answered no longer, or again.
 * @returns stops telling
 */
export function announceStart(options: StartupOptions): () => void {
  const { clock, listener, embedded, url, fleet, hasLooked } = options;
  let cancel = (): void => {};
  let told: DeviceBackend['progress'];
  let said: string | undefined;
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
    tell();
    cancel = clock.schedule(said === undefined ? lookMs : laterLookMs, look);
  }

  function tell(): void {
    const view = fleet();
    // The first moments of a child are 'loading'; 'down' with no session is its failure to start or to load. Both from the
    // same view, which may be a moment old: of a model that is loading by one and down by the other nothing would be missed.
    const model = view.backends.find(({ id }) => id === embedded?.id);
    if (model?.status.state === 'loading') return;
    const problem = problemOf(view);
    // A server is taken for ready until it is looked at.
    const isKnown =
      model?.status.state === 'ready' || hasLooked() || view.backends.some(({ tier }) => tier === 'cloud');
    if (problem === undefined && !isKnown) return;
    const word = problem === undefined ? 'ready' : problem.what;
    if (word === said) return;
    said = word;
    if (problem === undefined) listener.ready(readyInfo(options));
    else listener.unable(readyInfo(options), problem);
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
