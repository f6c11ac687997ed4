import type { EngineRequest } from '@lfo/device-core';
import type { WireTool } from '@lfo/protocol';

/** The tools that the model may call: all, one by name, or none. */
export function offeredTools({ tools, toolChoice }: EngineRequest): readonly WireTool[] {
  if (toolChoice === 'none') return [];
  return typeof toolChoice === 'object' ? tools.filter(({ name }) => name === toolChoice.name) : tools;
}

/** Whether nothing but a call may be answered. */
export function mustCall({ toolChoice }: Partial<EngineRequest>): boolean {
  return toolChoice === 'required' || typeof toolChoice === 'object';
}
