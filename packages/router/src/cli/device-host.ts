import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LfoConfig } from '../config/config.ts';
import { withoutSecrets } from '../config/environment.ts';
import { createDataFolder } from '../config/data-folder.ts';
import type { Terminal } from './terminal.ts';

/** The device host's command line; the router forks it and never loads it. */
export const deviceHostBinary: string = fileURLToPath(
  new URL('../../../device-host/bin/lfo-device-host.js', import.meta.url),
);

/**
 * Runs `lfo-device-host` with these arguments in this terminal, with the folders of this configuration; its exit code is
 * ours.
 */
export async function deviceHost(terminal: Terminal, config: LfoConfig, args: readonly string[]): Promise<number> {
  // Nothing is made by looking.
  if (args[0] !== 'models' || args[1] !== 'list') createDataFolder(config.dataDir);
  const child = spawn(process.execPath, [deviceHostBinary, ...args], {
    stdio: 'inherit',
    env: childEnvironment(terminal, config),
  });
  // Ctrl-C reaches the child by itself: it ends its download cleanly, and we wait for it.
  const ignore = terminal.onSignal('SIGINT', () => {});
  const stop = terminal.onSignal('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  }).finally(() => {
    ignore();
    stop();
  });
}

/** The environment of the device host: no secrets, and its folders as this configuration says. */
export function childEnvironment({ env }: Terminal, { dataDir, embedded, offline }: LfoConfig): NodeJS.ProcessEnv {
  return {
    ...withoutSecrets(env),
    LFO_MODELS_DIR: embedded.modelsDir,
    LFO_DATA_DIR: dataDir,
    LFO_LAUNCHER_PID: String(process.pid),
    ...(embedded.modelBaseUrl === undefined ? {} : { LFO_MODEL_BASE_URL: embedded.modelBaseUrl }),
    ...(offline ? { LFO_OFFLINE: '1' } : {}),
  };
}
