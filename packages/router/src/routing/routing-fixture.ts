import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { BackendView, FleetView } from '../core/backend.ts';
import type { Mode } from '../core/request.ts';
import type { RequestFeatures } from '../core/routing.ts';

/** For tests: features of a short question in one mode. */
export function featuresOf(mode: Mode, change: Partial<RequestFeatures> = {}): RequestFeatures {
  return {
    request: chatRequest({ hints: { mode } }),
    mode,
    promptTokens: 100,
    promptTokensFrom: 'count',
    warmTokens: 0,
    limits: { maxLocalTokens: 1500, firstTokenBudgetMs: 10_000, confidenceThreshold: 0.7 },
    ...change,
  };
}

/** For tests: the embedded model, ready. */
export function localView(change: Partial<BackendView> = {}): BackendView {
  return {
    id: 'embedded',
    tier: 'local',
    models: ['qwen'],
    capabilities: { contextTokens: 8192, tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
    status: { state: 'ready', prefillRate: 1000 },
    breaker: 'closed',
    inFlight: 0,
    ...change,
  };
}

/** For tests: a cloud backend, ready. */
export function cloudView(change: Partial<BackendView> = {}): BackendView {
  return {
    id: 'gemini',
    tier: 'cloud',
    models: ['gemini-2.5-flash'],
    capabilities: {
      contextTokens: 1_000_000,
      tools: true,
      jsonSchema: true,
      images: true,
      audio: true,
      logprobs: false,
    },
    status: { state: 'ready' },
    breaker: 'closed',
    inFlight: 0,
    ...change,
  };
}

export function fleetOf(...backends: readonly BackendView[]): FleetView {
  return { backends };
}
