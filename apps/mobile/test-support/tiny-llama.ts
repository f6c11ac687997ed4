import { webcrypto } from 'node:crypto';
import { llamaRnEngine } from '../src/engines/llama-rn-engine';
import { systemClock } from '../src/host/clock';
import type { ReadyModel } from '../src/host/phone-host';
import { FakeLlama, llamaBindingNames } from './fake-llama';

/** What an engine is made with. */
export const engineParts = {
  clock: systemClock,
  random: (length: number): Uint8Array => webcrypto.getRandomValues(new Uint8Array(length)),
};

/** llama.rn's native half, installed. */
export const llama = new FakeLlama();
llama.install(llamaBindingNames);

/** A model on the phone that llama.rn runs. */
export const tiny: ReadyModel = {
  engine: llamaRnEngine(engineParts),
  file: { id: 'tiny', path: '/models/tiny.gguf' },
  title: 'Tiny',
};
