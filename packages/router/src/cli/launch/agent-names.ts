/** Agents that `lfo launch` knows. */
export const agentNames = ['claude', 'codex', 'copilot', 'gemini', 'openclaw', 'opencode', 'pi', 'qwen-code'] as const;

export type AgentName = (typeof agentNames)[number];
