import type { FastifyInstance } from 'fastify';
import { addMessagesRoutes } from './anthropic/messages-routes.ts';
import { addGenerateRoutes } from './gemini/generate-routes.ts';
import { addModelRoutes } from './models-routes.ts';
import { addOllamaRoutes } from './ollama/ollama-routes.ts';
import { addChatRoutes } from './openai-chat/chat-routes.ts';
import { addCompletionRoutes } from './openai-chat/completions.ts';
import { addEmbeddingRoutes } from './openai-chat/embeddings.ts';
import { responsesReader } from './openai-responses/read.ts';
import { addResponsesRoutes } from './openai-responses/responses-routes.ts';
import { type DialectDeps, Serving } from './serving.ts';

/** Adds the routes of every wire. Guards and errors are the server's, see `server/server.ts`. */
export function addDialectRoutes(app: FastifyInstance, deps: DialectDeps): void {
  const serving = new Serving(deps);
  addModelRoutes(app, serving);
  addChatRoutes(app, serving, responsesReader(serving.reading));
  addCompletionRoutes(app, serving);
  addEmbeddingRoutes(app, serving);
  addResponsesRoutes(app, serving);
  addMessagesRoutes(app, serving);
  addGenerateRoutes(app, serving);
  addOllamaRoutes(app, serving);
}
