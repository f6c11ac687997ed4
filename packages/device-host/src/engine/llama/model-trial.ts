import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { resolveModel } from '../../models/resolve.ts';
import type { EngineDone, EngineEvent, EngineOptions, EngineRequest, LoadedModel, ModelFile } from '@lfo/device-core';

/** Where the models of the model tests are, or are fetched to once. */
export const modelsDir = env['LFO_MODELS_DIR'] ?? join(homedir(), '.local/share/lfo/models');
/** Small and on the CPU, so that every machine runs it. */
export const options: EngineOptions = { contextTokens: 2048, slots: 2, gpu: 'none' };
/** Never aborts. */
export const never = new AbortController().signal;
/** A tool to offer. */
export const weather = {
  name: 'get_weather',
  description: 'Current weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'] },
};

/** Fetched once into the models folder, then found there. */
export function fetched(name: string): Promise<ModelFile> {
  return resolveModel(name, { modelsDir, offline: false }, () => {}, never);
}

/** A short question to a model. */
export function ask(content: string, more: Partial<EngineRequest> = {}): EngineRequest {
  return { messages: [{ role: 'user', content }], tools: [], stop: [], maxTokens: 8, ...more };
}

/** Every event of one answer. */
export function answer(model: LoadedModel, request: EngineRequest, signal = never): Promise<EngineEvent[]> {
  return Array.fromAsync(model.run(request, signal, () => {}));
}

/** The text of an answer. */
export function textOf(events: readonly EngineEvent[]): string {
  return events.map((event) => (event.k === 'text' ? event.text : '')).join('');
}

/** The end of an answer; fails when there is none. */
export function doneOf(events: readonly EngineEvent[]): EngineDone {
  const last = events.at(-1);
  assert.ok(last?.k === 'done');
  return last;
}

/** The scores of an answer. */
export function scoresOf(events: readonly EngineEvent[]): Extract<EngineEvent, { k: 'scores' }>[] {
  return events.filter((event) => event.k === 'scores');
}
