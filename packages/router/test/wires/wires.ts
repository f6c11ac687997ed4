import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { ollama } from './ollama.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiResponses } from './openai-responses.ts';
import type { Wire } from './talk.ts';

/** Every wire on which a conversation can be held, chat first: the others are compared with it. */
export const wires: readonly Wire[] = [openaiChat, openaiResponses, anthropic, gemini, ollama];
