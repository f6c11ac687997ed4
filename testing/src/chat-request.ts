import type { ChatRequest } from '@lfo/router/src/core/request.ts';

/** A small streamed request, with what the test changes. */
export function chatRequest(changes: Partial<ChatRequest> = {}): ChatRequest {
  return {
    id: '01890000-0000-7000-8000-000000000000',
    model: 'lfo-auto',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Say hello.' }] }],
    tools: [],
    sampling: { stop: [], logprobs: false },
    stream: true,
    hints: { mode: 'auto' },
    bodyBytes: 100,
    ...changes,
  };
}
