export * from './clock.ts';
export * from './engine/engine.ts';
export * from './engine/scripted.ts';
export * from './host/gates.ts';
export * from './host/host.ts';
export * from './link/redial.ts';
export * from './link/router-call.ts';
export * from './session/kept-answers.ts';
export type { LoadProgress, ModelOpener } from './host/hosted-model.ts';
