import { systemClock } from '../clock.ts';
import { EngineError } from './engine.ts';
import { describeEngine } from './engine-contract.ts';
import { scriptedEngine } from './scripted.ts';

describeEngine('scripted', async () => ({
  engine: scriptedEngine({ clock: systemClock }),
  model: { id: 'scripted', path: '/scripted' },
  options: { contextTokens: 500, slots: 2, gpu: 'none' },
}));

describeEngine('scripted that cannot load a second file', async () => {
  const good = scriptedEngine({ clock: systemClock });
  const bad = scriptedEngine({
    clock: systemClock,
    loadError: new EngineError('no_model', 'There is no such file.', false),
  });
  return {
    engine: { ...good, load: (model, ...rest) => (model.id === 'gone' ? bad : good).load(model, ...rest) },
    model: { id: 'scripted', path: '/scripted' },
    missing: { id: 'gone', path: '/gone' },
    options: { contextTokens: 500, slots: 1, gpu: 'none' },
  };
});
