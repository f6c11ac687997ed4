import type { EngineEvent, EngineRequest, LoadedModel } from '@lfo/device-core';
import type { Clock } from '@lfo/protocol';

/** One answer by time and size; never its text. */
export interface AnswerNote {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly tookMs: number;
  readonly promptTokens: number;
  readonly answerTokens: number;
  readonly outcome: 'answered' | 'stopped' | 'failed';
}

/** What an owner may watch of a model at work. */
export interface ModelWatcher {
  readonly onBegin: () => void;
  readonly onEnd: (note: AnswerNote) => void;
  /** It leaves memory. */
  readonly onClose: () => void;
}

/** The same model, with its answers noted. */
export function observedModel(model: LoadedModel, clock: Clock, now: () => number, watcher: ModelWatcher): LoadedModel {
  return {
    info: model.info,
    slots: model.slots,
    count: (prompt, signal) => model.count(prompt, signal),
    rates: () => model.rates(),
    close() {
      watcher.onClose();
      return model.close();
    },
    run: (request, signal, onPrefill) => observedRun(model, request, signal, onPrefill, { clock, now, watcher }),
  };
}

async function* observedRun(
  model: LoadedModel,
  request: EngineRequest,
  signal: AbortSignal,
  onPrefill: (done: number, total: number) => void,
  { clock, now, watcher }: { readonly clock: Clock; readonly now: () => number; readonly watcher: ModelWatcher },
): AsyncGenerator<EngineEvent, void, void> {
  const at = now();
  const startedMs = clock.nowMs();
  let promptTokens = 0;
  let answerTokens = 0;
  let outcome: AnswerNote['outcome'] = 'stopped';
  watcher.onBegin();
  try {
    for await (const event of model.run(request, signal, (done, total) => {
      promptTokens = total;
      onPrefill(done, total);
    })) {
      if (event.k === 'done') {
        outcome = 'answered';
        promptTokens = event.usage.prompt_tokens;
        answerTokens = event.usage.completion_tokens;
      } else answerTokens += 1;
      yield event;
    }
  } catch (error) {
    outcome = signal.aborted ? 'stopped' : 'failed';
    throw error;
  } finally {
    watcher.onEnd({ at, tookMs: clock.nowMs() - startedMs, promptTokens, answerTokens, outcome });
  }
}
