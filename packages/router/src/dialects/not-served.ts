/** What of the vendors' APIs is not here, by the beginning of its address, and what to do instead. */
const notServed: readonly (readonly [prefix: string, instead: string])[] = [
  ['/v1/files', 'No files are stored here: send their contents in the messages.'],
  ['/v1beta/files', 'No files are stored here: send their contents as inlineData.'],
  ['/upload/', 'No files are stored here: send their contents as inlineData.'],
  ['/v1/messages/batches', 'There are no batches here: send the requests one by one, with "x-lfo-lane: background".'],
  ['/v1/batches', 'There are no batches here: send the requests one by one, with "x-lfo-lane: background".'],
  ['/v1beta/batches', 'There are no batches here: send the requests one by one, with "x-lfo-lane: background".'],
  ['/v1/conversations', 'Nothing is stored here: send the whole conversation with each request.'],
  ['/v1/threads', 'Nothing is stored here: send the whole conversation to /v1/chat/completions or /v1/responses.'],
  ['/v1/assistants', 'Nothing is stored here: send instructions and tools to /v1/chat/completions or /v1/responses.'],
  ['/v1beta/cachedContents', 'Nothing is cached by name here: send the content itself; what prompts share is reused.'],
  ['/v1beta/interactions', 'Nothing is stored here: send the whole conversation to :generateContent.'],
  ['/v1/realtime', 'There is no realtime API here: use /v1/responses with "stream": true.'],
  ['/ws/', 'There is no live API here: use :streamGenerateContent.'],
  ['/v1/audio', 'No speech is made or read here: audio goes to a model as part of a message.'],
  ['/v1/images', 'No images are made here.'],
  ['/v1/moderations', 'No moderation is run here.'],
];

/** Why an address that a vendor has is not here; undefined for one that nobody has. */
export function whyNotServed(path: string): string | undefined {
  const found = notServed.find(([prefix]) => path.startsWith(prefix) && /^(?:$|[/:])/.test(afterPrefix(path, prefix)));
  return found?.[1];
}

/** A prefix with its slash is a folder, whatever comes. */
function afterPrefix(path: string, prefix: string): string {
  return prefix.endsWith('/') ? '' : path.slice(prefix.length);
}
