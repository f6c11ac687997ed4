import type { Cancellation } from '../../../core/abort.ts';
import type { ChatRequest, ContentPart, Message } from '../../../core/request.ts';
import type { ImageFetch } from '../../http/fetch-image.ts';

/** The request with every `http(s)` image fetched, one after the other; the request itself where there is none. */
export async function withImages(request: ChatRequest, images: ImageFetch, signal: Cancellation): Promise<ChatRequest> {
  if (!request.messages.some((message) => message.role === 'user' && message.content.some(isRemote))) return request;
  const messages: Message[] = [];
  for (const message of request.messages) {
    if (message.role !== 'user') {
      messages.push(message);
      continue;
    }
    const content: ContentPart[] = [];
    for (const part of message.content) {
      content.push(isRemote(part) ? { ...part, url: await images.fetch(part.url, signal) } : part);
    }
    messages.push({ ...message, content });
  }
  return { ...request, messages };
}

function isRemote(part: ContentPart): part is Extract<ContentPart, { type: 'image' }> {
  return part.type === 'image' && /^https?:/i.test(part.url);
}
