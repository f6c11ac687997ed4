import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../../core/clock.ts';
import type { EmbeddedConfig } from '../../../config/config.ts';
import { DeviceChild } from './child-process.ts';
import { DeviceBackend } from './device-backend.ts';

export interface EmbeddedOptions {
  readonly id: string;
  readonly config: EmbeddedConfig;
  readonly offline: boolean;
  /** Path of the Node that runs the router. */
  readonly execPath: string;
  /** Whole environment of the child; leave the keys of providers out. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** One line the child printed, for the log at debug. */
  readonly onLine: (line: string) => void;
  /** The child ended; for the log at warn. */
  readonly onDown?: (detail: string) => void;
  /** It is the embedding model of the configuration that runs here; default: the model that answers. */
  readonly embeds?: boolean;
  /** Further options of the child: tests choose the scripted engine with them. */
  readonly childOptions?: Readonly<Record<string, unknown>>;
}

/** The model in a child process of the router's own; starts it at once, and `close` ends it. */
export function embeddedBackend(options: EmbeddedOptions): DeviceBackend & { readonly child: DeviceChild } {
  const { id, config, offline, execPath, env, clock, onLine, onDown, embeds = false } = options;
  const { modelsDir, contextTokens, slots, threads, gpu, modelBaseUrl } = config;
  const model = embeds ? (config.embeddingModel ?? '') : config.model;
  // As the device host will name it: a path must not show up in the list of models.
  const name = basename(model).replace(/\.gguf$/i, '');
  const json = JSON.stringify({
    model,
    modelsDir,
    contextTokens,
    slots,
    threads,
    gpu,
    offline,
    modelBaseUrl,
    ...options.childOptions,
  });
  const child: DeviceChild = new DeviceChild({
    command: [execPath, deviceHostProgram(), 'child', json],
    env,
    clock,
    onLine,
    onChannel: (channel) => backend.attach(channel),
    onDown(detail, restartMs) {
      // A request may wait for a restart that is near; a child that keeps dying is not there.
      backend.describe({ state: restartMs <= nearRestartMs ? 'loading' : 'down', detail });
      onDown?.(detail);
    },
  });
  const backend = new DeviceBackend({
    id,
    clock,
    expected: {
      models: embeds ? [] : [name],
      embeddingModels: embeds ? [name] : [],
      capabilities: { contextTokens, tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
    },
    heartbeatMs: pipeHeartbeatMs,
    onSilent: () => child.kill(),
    // The pipe ends before the child's end is known; a restart follows.
    lost: { state: 'loading', detail: 'The model process has ended.' },
    release: () => child.close(),
  });
  child.start();
  return Object.assign(backend, { child });
}

/** A pipe costs nothing: its silence is noticed after 15 s. */
const pipeHeartbeatMs = 6_000;

/** Longest pause before a restart that counts as loading. */
const nearRestartMs = 4000;

/** Path of the device host's program: forked, never imported. */
export function deviceHostProgram(): string {
  return fileURLToPath(new URL('../../../../../device-host/bin/lfo-device-host.js', import.meta.url));
}
