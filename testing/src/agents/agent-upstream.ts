import { ScriptedUpstream } from '../scripted-upstream.ts';
import type { Exchange } from '../upstream/exchange.ts';
import { frame, openaiChunks, openaiCompletion, type OpenaiAnswer } from '../upstream/openai-answer.ts';

/** What the shell of an agent prints when it has really run what the model asked for. */
export const marker = 'marker-from-a-tool';

/** The arguments by which each agent's shell tool prints the marker. */
const shells: Readonly<Record<string, object>> = {
  Bash: { command: `echo ${marker}`, description: 'Prints a marker' },
  exec_command: { cmd: `echo ${marker}` },
  run_shell_command: { command: `echo ${marker}`, description: 'Prints a marker' },
  bash: { command: `echo ${marker}`, description: 'Prints a marker' },
  exec: { command: `echo ${marker}` },
};

/** A request as far as the upstream looks into it. */
export interface AgentRequest {
  readonly tools: readonly string[];
  /** Texts of the tool results, in order. */
  readonly results: readonly string[];
  readonly isStream: boolean;
}

export interface AgentUpstream {
  readonly origin: string;
  /** Chats in the order of their arrival. */
  readonly requests: readonly AgentRequest[];
  close(): Promise<void>;
}

/**
 * A model server that speaks as a model would: asked to use the shell it calls the agent's own shell tool once, and
 * answers with words as soon as there is a result, or no shell is offered.
 */
export async function startAgentUpstream(model: string): Promise<AgentUpstream> {
  const requests: AgentRequest[] = [];
  const upstream = await ScriptedUpstream.start((exchange) => {
    if (!exchange.request.path.endsWith('/chat/completions')) {
      return exchange.json(200, { object: 'list', data: [{ id: model, object: 'model', max_model_len: 200_000 }] });
    }
    const request = read(exchange);
    requests.push(request);
    const answer = answerTo(request);
    if (!request.isStream) return exchange.json(200, openaiCompletion(answer, model));
    exchange.head(200, { 'content-type': 'text/event-stream' });
    const frames = openaiChunks(answer, model).map((chunk) => frame(chunk));
    exchange.finish(`${frames.join('')}data: [DONE]\n\n`);
  });
  return { origin: upstream.origin, requests, close: () => upstream.close() };
}

function answerTo({ tools, results }: AgentRequest): OpenaiAnswer {
  const shell = tools.find((name) => Object.hasOwn(shells, name));
  if (shell === undefined || results.length > 0) return { deltas: ['LFO', ' answered', ' this.'] };
  const json = JSON.stringify(shells[shell]);
  const call = { id: 'call_1', name: shell, argumentDeltas: [json.slice(0, 7), json.slice(7)] };
  return { deltas: [], toolCalls: [call], finishReason: 'tool_calls' };
}

function read({ request }: Exchange): AgentRequest {
  const tools = list(field(request.json, 'tools')).flatMap((tool) => text(field(field(tool, 'function'), 'name')));
  const results = list(field(request.json, 'messages')).flatMap((message) =>
    field(message, 'role') === 'tool' ? [JSON.stringify(field(message, 'content'))] : [],
  );
  return { tools, results, isStream: field(request.json, 'stream') === true };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : [];
}
