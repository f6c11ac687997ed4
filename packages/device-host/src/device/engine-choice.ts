import { systemClock } from '../clock.ts';
import { engineOf, opener } from '../child-main.ts';
import { scriptedEngine, type Engine, type ModelOpener } from '@lfo/device-core';

/** What answers, and how. */
export interface EngineWanted {
  /** `llama`, `scripted`, or the address of a server that speaks OpenAI's wire. */
  readonly engine: string;
  /** Absent: the default one of llama.cpp, the first one of a server. */
  readonly model?: string;
  readonly slots: number;
  readonly contextTokens: number;
  /** Of the scripted engine. */
  readonly tokensPerSecond: number;
  readonly modelsDir: string;
  readonly offline: boolean;
  readonly modelBaseUrl?: string;
}

export interface ChosenEngine {
  readonly engine: Engine;
  readonly openModel: ModelOpener;
}

const defaultModel = 'qwen2.5-coder-0.5b';

/** The address of a server, with `/v1` where only a host was given; `undefined` where it is none. */
export function serverAddress(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const { origin, pathname } = new URL(text);
  const path = pathname.replace(/\/+$/, '');
  return `${origin}${path === '' ? '/v1' : path}`;
}

/** Prepares an engine; nothing is fetched or loaded before `openModel` is called. */
export async function chooseEngine(wanted: EngineWanted): Promise<ChosenEngine> {
  const { model, slots, contextTokens, tokensPerSecond, modelsDir, offline, modelBaseUrl } = wanted;
  const options = { slots, contextTokens, gpu: 'auto' } as const;
  const baseUrl = serverAddress(wanted.engine);
  if (baseUrl !== undefined) {
    const { serverEngine } = await import('../engine/server/server-engine.ts');
    const engine = serverEngine({ baseUrl });
    const openModel: ModelOpener = (onProgress, signal) =>
      engine.load(
        { id: model ?? '', path: '' },
        options,
        (done, total) => onProgress({ phase: 'load', done, total }),
        signal,
      );
    return { engine, openModel };
  }
  if (wanted.engine === 'scripted') {
    const partMs = 1000 / tokensPerSecond;
    const engine = scriptedEngine({
      clock: systemClock,
      answer: ({ maxTokens = 128 }) => ({
        parts: Array.from({ length: Math.min(maxTokens, 128) }, (_, at) => ({ k: 'text', text: `${at} ` }) as const),
        partMs,
      }),
    });
    const openModel: ModelOpener = (_onProgress, signal) =>
      engine.load({ id: model ?? 'scripted', path: '' }, options, () => {}, signal);
    return { engine, openModel };
  }
  const child = {
    ...options,
    engine: 'llama',
    model: model ?? defaultModel,
    modelsDir,
    offline,
    ...(modelBaseUrl === undefined ? {} : { modelBaseUrl }),
    scripted: {},
  } as const;
  const engine = await engineOf(child);
  return { engine, openModel: opener(child, engine) };
}
