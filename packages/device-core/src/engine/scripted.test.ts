import type { Clock } from '@lfo/protocol';
import { EngineError } from './engine.ts';
import { describeEngine } from './engine-contract.ts';
import { scriptedEngine } from './scripted.ts';

/** Real time: the suite asks of every engine how soon an abort ends a run. */
const clock: Clock = {
  nowMs: () => performance.now(),
  schedule(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

describeEngine('scripted', async () => ({
  engine: scriptedEngine({ clock }),
  model: { id: 'scripted', path: '/scripted' },
  options: { contextTokens: 500, slots: 2, gpu: 'none' },
}));

describeEngine('scripted that cannot load a second file', async () => {
  const good = scriptedEngine({ clock });
  const bad = scriptedEngine({ clock, loadError: new EngineError('no_model', 'There is no such file.', false) });
  return {
    engine: { ...good, load: (model, ...rest) => (model.id === 'gone' ? bad : good).load(model, ...rest) },
    model: { id: 'scripted', path: '/scripted' },
    missing: { id: 'gone', path: '/gone' },
    options: { contextTokens: 500, slots: 1, gpu: 'none' },
  };
});
