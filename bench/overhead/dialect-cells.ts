import { agentBody, type Cell, kilobyte } from './cells.ts';

/** The same requests as those of chat, on each other wire. They are measured through LFO alone: nothing else speaks them. */
interface Wire {
  readonly name: string;
  readonly path: (model: string) => string;
  readonly short: object;
  readonly agent: object;
  /** What is beside the conversation. */
  readonly more: object;
}

const { messages: conversation, tools } = agentBody();
const functions = tools.map(({ function: spec }) => spec);
const nameOf = (id: string): string =>
  conversation.flatMap(({ tool_calls: calls = [] }) => calls).find((call) => call.id === id)?.function.name ?? '';

const wires: readonly Wire[] = [
  {
    name: 'Responses',
    path: () => '/v1/responses',
    short: { input: kilobyte },
    agent: {
      input: conversation.flatMap(({ role, content, tool_calls: calls, tool_call_id: id }): object[] => {
        if (role === 'tool') return [{ type: 'function_call_output', call_id: id, output: content }];
        const made = (calls ?? []).map((call) => ({ type: 'function_call', call_id: call.id, ...call.function }));
        return content === null ? made : [{ role, content }, ...made];
      }),
      tools: functions.map((spec) => ({ type: 'function', ...spec })),
      tool_choice: 'auto',
    },
    more: { max_output_tokens: 4096 },
  },
  {
    name: 'Messages',
    path: () => '/v1/messages',
    short: { messages: [{ role: 'user', content: kilobyte }] },
    agent: {
      system: conversation[0]?.content,
      messages: conversation.slice(1).map(({ role, content, tool_calls: calls, tool_call_id: id }) => {
        if (role === 'tool') return { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content }] };
        const made = (calls ?? []).map((call) => ({
          type: 'tool_use',
          id: call.id,
          name: call.function.name,
          input: JSON.parse(call.function.arguments),
        }));
        return { role, content: content ?? made };
      }),
      tools: functions.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters })),
    },
    more: { max_tokens: 4096 },
  },
  {
    name: 'Gemini inbound',
    path: (model) => `/v1beta/models/${model}:generateContent`,
    short: { contents: [{ role: 'user', parts: [{ text: kilobyte }] }] },
    agent: {
      systemInstruction: { parts: [{ text: conversation[0]?.content }] },
      contents: conversation.slice(1).map(({ role, content, tool_calls: calls, tool_call_id: id = '' }) => {
        if (role === 'tool') {
          const functionResponse = { id, name: nameOf(id), response: { output: content } };
          return { role: 'user', parts: [{ functionResponse }] };
        }
        const made = (calls ?? []).map((call) => ({
          functionCall: { id: call.id, name: call.function.name, args: JSON.parse(call.function.arguments) },
        }));
        return { role: role === 'user' ? 'user' : 'model', parts: content === null ? made : [{ text: content }] };
      }),
      tools: [
        {
          functionDeclarations: functions.map(({ name, description, parameters }) => ({
            name,
            description,
            parametersJsonSchema: parameters,
          })),
        },
      ],
    },
    more: { generationConfig: { maxOutputTokens: 4096 } },
  },
  {
    name: 'Ollama',
    path: () => '/api/chat',
    short: { messages: [{ role: 'user', content: kilobyte }] },
    agent: {
      messages: conversation.map(({ role, content, tool_calls: calls, tool_call_id: id }) => ({
        role,
        content: content ?? '',
        ...(id !== undefined && { tool_call_id: id }),
        ...(calls !== undefined && {
          tool_calls: calls.map((call) => ({
            id: call.id,
            function: { name: call.function.name, arguments: JSON.parse(call.function.arguments) },
          })),
        }),
      })),
      tools,
    },
    more: { stream: false, options: { num_predict: 4096 } },
  },
];

const unary = { isStream: false, concurrency: 64, model: 'local', only: 'lfo' } as const;

/** Chat read by its schema, which a field makes it be that nothing else depends on; then each wire. */
export const dialectCells: readonly Cell[] = [
  {
    ...unary,
    name: 'schema 1 KB',
    requests: 2000,
    body: (model) => JSON.stringify({ model, messages: [{ role: 'user', content: kilobyte }], store: false }),
  },
  {
    ...unary,
    name: 'schema 40 KB',
    requests: 800,
    body: (model) => JSON.stringify({ model, ...agentBody(), store: false }),
  },
  ...wires.flatMap(({ name, path, short, agent, more }): Cell[] => [
    {
      ...unary,
      name: `${name} 1 KB`,
      requests: 2000,
      path,
      body: (model) => JSON.stringify({ model, ...short, ...more }),
    },
    {
      ...unary,
      name: `${name} 40 KB`,
      requests: 800,
      path,
      body: (model) => JSON.stringify({ model, ...agent, ...more }),
    },
  ]),
];

/** What a wire may cost over chat's slower way, by size. */
export const dialectTargets = [
  ['1 KB', 1.3, 'unary 1 KB'],
  ['40 KB', 1.2, 'agent 40 KB'],
] as const;

/** Names of the wires' cells of a size. */
export function dialectCellsOf(size: string): readonly string[] {
  return wires.map(({ name }) => `${name} ${size}`);
}
