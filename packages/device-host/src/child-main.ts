import { randomBytes } from 'node:crypto';
import { flushCompileCache } from 'node:module';
import { Socket } from 'node:net';
import { hostname, platform, release } from 'node:os';
import { DeviceHost, EngineError, scriptedEngine } from '@lfo/device-core';
import type { Engine, LoadProgress, ModelFile, ModelOpener } from '@lfo/device-core';
import { deviceLink, framedChannel, maxFrameBytes, streamCarrier } from '@lfo/protocol';
import * as z from 'zod';
import { systemClock } from './clock.ts';
import { ModelError, type ModelFault } from './models/model-error.ts';

/** What the parent tells the child it starts: JSON in its first argument. */
const childOptions = z.strictObject({
  /** Catalogue name, path of a GGUF file, or `hf:owner/repo/file`. */
  model: z.string().min(1),
  modelsDir: z.string().min(1),
  contextTokens: z.number().int().positive(),
  slots: z.number().int().positive(),
  threads: z.number().int().positive().optional(),
  gpu: z.enum(['auto', 'none']),
  /** No model is fetched. */
  offline: z.boolean(),
  modelBaseUrl: z.string().optional(),
  /** `scripted` answers from a script and needs no model: for tests of what surrounds the engine. */
  engine: z.enum(['llama', 'scripted']).default('llama'),
  scripted: z.object({ partMs: z.number(), loadMs: z.number(), words: z.number().int() }).partial().default({}),
});

export type ChildOptions = Readonly<z.infer<typeof childOptions>>;

/** Faults that end without the owner doing anything, or once there is room. */
const mayPass: ReadonlySet<ModelFault> = new Set(['source', 'unavailable', 'busy', 'no_space']);
/** Faults of a file that its owner may mend at any time: it is looked at again and again. */
const ofTheFile: ReadonlySet<string> = new Set(['missing', 'not_gguf', 'truncated', 'wrong_hash', 'offline']);
const lookAgainMs = 3_000;

/** The pipe a parent hands down. */
const pipeFd = 3;

/**
 * Hosts one model for the process that forked this one, over the pipe on fd 3. Lives exactly as long as the pipe:
 * Ctrl-C is the parent's to handle (it reaches the whole group and would break draining), and SIGTERM is left to
 * its default, which ends the process at once, where `process.exit` would wait for the batch that runs.
 */
export async function childMain(json: string | undefined): Promise<void> {
  const options = childOptions.parse(JSON.parse(json ?? '{}'));
  process.on('SIGINT', () => {});
  const engine = await engineOf(options);
  const host = new DeviceHost({
    identity: {
      boot: randomBytes(16).toString('base64url'),
      name: hostname(),
      app: 'lfo-device-host/0.1.0',
      os: `${platform()} ${release()}`,
    },
    engine,
    openModel: opener(options, engine),
    clock: systemClock,
  });
  host.load();
  loadOnceMended(host, options);
  const pipe = openPipe();
  if (pipe === undefined) {
    process.stderr.write('lfo-device-host child: no pipe on fd 3. It is started by lfo, not by hand.\n');
    process.exitCode = 2;
    return host.close();
  }
  pipe.on('close', () => process.kill(process.pid, 'SIGTERM'));
  // No handshake: the parent made the pipe, and nobody else can reach it.
  host.serve(deviceLink(framedChannel(streamCarrier(pipe), maxFrameBytes), systemClock));
}

function openPipe(): Socket | undefined {
  try {
    return new Socket({ fd: pipeFd, readable: true, writable: true });
  } catch {
    return undefined;
  }
}

/** Loads a model whose file was at fault once the file is good. */
function loadOnceMended(host: DeviceHost, options: ChildOptions): void {
  const look = async (): Promise<void> => {
    const fault = host.refusal?.cause;
    if (fault instanceof EngineError && fault.cause instanceof ModelError && ofTheFile.has(fault.cause.fault)) {
      await modelFile(options, () => {}, AbortSignal.timeout(lookAgainMs)).then(
        () => host.load(),
        () => {},
      );
    }
    setTimeout(() => void look(), lookAgainMs).unref();
  };
  setTimeout(() => void look(), lookAgainMs).unref();
}

/** The engine that these options name. */
export async function engineOf(options: ChildOptions): Promise<Engine> {
  if (options.engine === 'llama') {
    const { llamaEngine } = await import('./engine/llama/llama-engine.ts');
    return llamaEngine();
  }
  const { partMs = 1, loadMs = 0, words = 10 } = options.scripted;
  const parts = Array.from({ length: words }, (_, at) => ({ k: 'text', text: at === 0 ? '0' : ` ${at}` }) as const);
  return scriptedEngine({ clock: systemClock, loadMs, answer: () => ({ parts, partMs }) });
}

/** Fetches and loads the model that these options name. */
export function opener(options: ChildOptions, engine: Engine): ModelOpener {
  const { contextTokens, slots, threads, gpu } = options;
  return async (onProgress, signal) => {
    const file = await modelFile(options, onProgress, signal);
    const engineOptions = { contextTokens, slots, gpu, ...(threads === undefined ? {} : { threads }) };
    const onLoad = (done: number, total: number): void => onProgress({ phase: 'load', done, total, what: file.id });
    const loaded = await engine.load(file, engineOptions, onLoad, signal);
    // Kept for the next start; Node does it by itself at a regular exit only, and this process ends by a signal.
    flushCompileCache();
    return loaded;
  };
}

async function modelFile(
  { engine, model, modelsDir, offline, modelBaseUrl }: ChildOptions,
  onProgress: (progress: LoadProgress) => void,
  signal: AbortSignal,
): Promise<ModelFile> {
  if (engine === 'scripted') return { id: model, path: model };
  const { resolveModel } = await import('./models/resolve.ts');
  const options = { modelsDir, offline, ...(modelBaseUrl === undefined ? {} : { baseUrl: modelBaseUrl }) };
  try {
    return await resolveModel(
      model,
      options,
      ({ phase, done, total, what }) => onProgress({ phase: phase === 'download' ? phase : 'load', done, total, what }),
      signal,
    );
  } catch (cause) {
    if (!(cause instanceof ModelError)) throw cause;
    throw new EngineError('no_model', cause.message, mayPass.has(cause.fault), { cause });
  }
}
