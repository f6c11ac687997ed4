import type { ChatRequest } from '../../core/request.ts';
import { errorBody } from '../../server/error-body.ts';
import { CollectedAnswer } from '../collected-answer.ts';
import type { AnswerContext, AnswerFormat, AnswerStream, WholeAnswer } from '../wire.ts';
import { ChunkEncoder } from './chunk-encoder.ts';
import { completionBody } from './completion.ts';

/** Chat completions and their chunks. */
export class ChatFormat implements AnswerFormat {
  readonly dialect = 'openai-chat';
  readonly headers = {};
  readonly streamType = 'text/event-stream; charset=utf-8';
  readonly carriesImages = true;
  readonly errorBody = errorBody;
  readonly #request: ChatRequest;

  constructor(request: ChatRequest) {
    this.#request = request;
  }

  whole({ createdS }: AnswerContext): WholeAnswer {
    const request = this.#request;
    const answer = new CollectedAnswer(request.model);
    return {
      facts: () => answer.facts,
      add: (event) => answer.add(event),
      body: (metadata) => ({
        ...completionBody(answer, request, completionId(request.id), createdS),
        lfo_metadata: metadata,
      }),
    };
  }

  stream({ createdS }: AnswerContext): AnswerStream {
    return new ChunkEncoder(this.#request, completionId(this.#request.id), createdS);
  }
}

function completionId(requestId: string): string {
  return `chatcmpl-${requestId}`;
}
