/** What is measured: one kind of request on one wire. */
export interface Cell {
  readonly name: string;
  /** The model that LFO is asked for, which says by which tier and wire; the yardsticks pass any on. */
  readonly body: (model: string) => string;
  readonly model: 'local' | 'gemini' | 'auto';
  readonly isStream: boolean;
  readonly concurrency: number;
  /** In one sample. */
  readonly requests: number;
  /** Absent: chat completions. */
  readonly path?: (model: string) => string;
  /** The one system that speaks it; absent: all do. */
  readonly only?: 'lfo';
}

/** A message of the agent's conversation. */
interface AgentMessage {
  readonly role: string;
  readonly content: string | null;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: string;
    readonly function: { readonly name: string; readonly arguments: string };
  }[];
}

export const chunksAStream = 64;
const atOnce = 64;

const chat = (extra: object): ((model: string) => string) => {
  return (model) => JSON.stringify({ model, ...extra });
};
const turn = (content: string): AgentMessage => ({ role: 'user', content });
export const kilobyte = 'Please read this sentence and answer in one word. '.repeat(18);

/** Twelve tools and twenty messages with calls and results among them, 40 KB: what an agent sends in mid-task. */
export function agentBody() {
  const tools = Array.from({ length: 12 }, (_, index) => ({
    type: 'function',
    function: {
      name: `tool_${index}`,
      description: `Reads, writes or searches the files of the project (variant ${index}). ${'Paths are relative to its root. '.repeat(8)}`,
      parameters: {
        type: 'object',
        properties: {
          path: { type: 'string', description: 'The file, relative to the root of the project.' },
          lines: { type: 'array', items: { type: 'integer', minimum: 0 }, description: 'First and last line.' },
          mode: { type: 'string', enum: ['read', 'write', 'search'], description: 'What to do with it.' },
        },
        required: ['path'],
      },
    },
  }));
  const messages: AgentMessage[] = [{ role: 'system', content: 'You are a careful engineer. '.repeat(120) }];
  for (let step = 0; messages.length < 20; step++) {
    if (step % 6 === 0) messages.push(turn(`Now do step ${step}: change the parser, "quietly".\n`.repeat(24)));
    const call = {
      name: `tool_${step % 12}`,
      arguments: JSON.stringify({ path: `src/file-${step}.ts`, mode: 'read' }),
    };
    messages.push({
      role: 'assistant',
      content: null,
      tool_calls: [{ id: `call_${step}`, type: 'function', function: call }],
    });
    messages.push({
      role: 'tool',
      tool_call_id: `call_${step}`,
      content: `const answer = ${step};\n// a line of the file\n`.repeat(42),
    });
  }
  // It ends with the result of a call, as a conversation does whose next answer is asked for.
  return { messages, tools, tool_choice: 'auto', max_completion_tokens: 4096, temperature: 0.2 };
}

const unary = { isStream: false, concurrency: atOnce, requests: 2000 } as const;
const stream = { isStream: true, concurrency: atOnce, requests: 192 } as const;
const streamed = { stream: true, stream_options: { include_usage: true } };
const short = { messages: [turn(kilobyte)] };

export const cells: readonly Cell[] = [
  { name: 'unary 1 KB', model: 'local', body: chat(short), ...unary },
  { name: 'agent 40 KB', model: 'local', body: chat(agentBody()), ...unary, requests: 800 },
  { name: 'burst of 64 chunks', model: 'local', body: chat({ ...short, ...streamed }), ...stream },
  {
    name: 'live streams',
    model: 'local',
    body: chat({ messages: [turn(`live pace ${kilobyte}`)], ...streamed }),
    ...stream,
    requests: 64,
  },
  { name: 'Gemini unary 1 KB', model: 'gemini', body: chat(short), ...unary },
  { name: 'Gemini burst', model: 'gemini', body: chat({ ...short, ...streamed }), ...stream },
  {
    name: 'gated stream',
    model: 'auto',
    body: chat({ ...short, ...streamed, metadata: { confidence_threshold: '0' } }),
    ...stream,
  },
  {
    name: 'gated live streams',
    model: 'auto',
    body: chat({
      messages: [turn(`live pace ${kilobyte}`)],
      ...streamed,
      metadata: { confidence_threshold: '0' },
    }),
    ...stream,
    requests: 64,
  },
  { name: 'unary 1 KB, one at a time', model: 'local', body: chat(short), ...unary, concurrency: 1, requests: 300 },
];
