import type { ChatRequest, ContentPart, Message } from '../../../core/request.ts';

/** Fetches an image and gives it as a `data:` URL. */
export type ImageFetcher = (url: string, signal: AbortSignal) => Promise<string>;

/** The request with every `http(s)` image fetched, one after the other; the request itself where there is none. */
export async function withImages(
  request: ChatRequest,
  fetchImage: ImageFetcher,
  signal: AbortSignal,
): Promise<ChatRequest> {
  if (!request.messages.some((message) => message.role === 'user' && message.content.some(isRemote))) return request;
  const messages: Message[] = [];
  for (const message of request.messages) {
    if (message.role !== 'user') {
      messages.push(message);
      continue;
    }
    const content: ContentPart[] = [];
    for (const part of message.content) {
      content.push(isRemote(part) ? { ...part, url: await fetchImage(part.url, signal) } : part);
    }
    messages.push({ ...message, content });
  }
  return { ...request, messages };
}

function isRemote(part: ContentPart): part is Extract<ContentPart, { type: 'image' }> {
  return part.type === 'image' && /^https?:/i.test(part.url);
}
