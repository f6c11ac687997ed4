import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '@lfo/testing/free-port.ts';
import type { Stage, System } from '../overhead/systems.ts';

/** One gateway, by the package and version that is run. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** Installs it where that was not done, and starts it in front of the upstream. */
  readonly start: (stage: Stage, folder: string, upstream: string) => Promise<Omit<System, 'name'>>;
}

/** What belongs into the comparison and is not in any package registry. */
export const leftOut: readonly string[] = [
  'TensorZero: its gateway is published as a container image alone',
  'Envoy: its binary is in no package registry',
];

export const peers: readonly Peer[] = [
  {
    name: '@portkey-ai/gateway',
    version: '1.15.2',
    async start(stage, folder, upstream) {
      const home = join(folder, 'portkey-1.15.2');
      installed(home, () => {
        writeFileSync(join(home, 'package.json'), '{"private":true}');
        run(home, 'npm', ['install', '--no-audit', '--no-fund', '@portkey-ai/gateway@1.15.2']);
      });
      const port = await freePort();
      const origin = `http://127.0.0.1:${port}`;
      const script = join(home, 'node_modules/@portkey-ai/gateway/build/start-server.js');
      // Hosts in the own network are refused unless they are named.
      const env = { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' };
      const pid = await stage.runOn(origin, process.execPath, [script, '--headless', `--port=${port}`], env);
      const to = (provider: string, path: string) => ({
        authorization: 'Bearer bench-key',
        'x-portkey-provider': provider,
        'x-portkey-custom-host': `${upstream}${path}`,
      });
      return {
        origin,
        pid,
        models: { local: 'bench', gemini: 'gemini-bench' },
        // It answers a stream of this upstream with 500 (`TypeError: immutable`), on Node 20 and 24 alike.
        isUnaryOnly: true,
        headers: { local: to('openai', '/v1'), gemini: to('google', '/v1beta') },
      };
    },
  },
  {
    name: 'vllm-router',
    version: '0.1.17',
    async start(stage, folder, upstream) {
      const home = join(folder, 'vllm-router-0.1.17');
      installed(home, () => python(home, 'vllm-router==0.1.17'));
      const [port, metrics] = [await freePort(), await freePort()];
      const origin = `http://127.0.0.1:${port}`;
      const args = ['--worker-urls', upstream, '--host', '127.0.0.1', '--port', String(port)];
      const pid = await stage.runOn(origin, join(home, 'bin/vllm-router'), [
        ...args,
        '--prometheus-port',
        String(metrics),
        '--policy',
        'round_robin',
      ]);
      return { origin, pid, models: { local: 'bench' } };
    },
  },
  {
    name: 'litellm',
    version: '1.106.12',
    async start(stage, folder, upstream) {
      const home = join(folder, 'litellm-1.106.12');
      installed(home, () => python(home, 'litellm[proxy]==1.106.12'));
      const config = join(stage.folder, 'litellm.yaml');
      writeFileSync(config, litellmConfig(upstream));
      const port = await freePort();
      const origin = `http://127.0.0.1:${port}`;
      const args = ['--config', config, '--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'];
      const pid = await stage.runOn(origin, join(home, 'bin/litellm'), args, { LITELLM_LOG: 'ERROR' });
      return { origin, pid, models: { local: 'bench', gemini: 'gemini-bench' } };
    },
  },
];

/** Installs once; a folder that was not finished is filled again. */
function installed(home: string, install: () => void): void {
  const done = join(home, 'installed');
  if (existsSync(done)) return;
  mkdirSync(home, { recursive: true });
  install();
  writeFileSync(done, '');
}

function python(home: string, requirement: string): void {
  run(home, 'python3', ['-m', 'venv', home]);
  run(home, join(home, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', requirement]);
}

function run(cwd: string, command: string, args: readonly string[]): void {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}

function litellmConfig(upstream: string): string {
  return `model_list:
  - { model_name: bench, litellm_params: { model: openai/bench, api_base: "${upstream}/v1", api_key: bench-key } }
  - { model_name: gemini-bench, litellm_params: { model: gemini/gemini-bench, api_base: "${upstream}/v1beta", api_key: bench-key } }
general_settings: { dangerously_permit_weak_or_unset_master_key: true }
litellm_settings: { telemetry: false }
`;
}
