export * from './clock.ts';
export * from './engine/engine.ts';
export * from './engine/scripted.ts';
export type { Readings } from './host/gates.ts';
export * from './host/host.ts';
export * from './session/kept-answers.ts';
export type { LoadProgress, ModelOpener } from './host/hosted-model.ts';
