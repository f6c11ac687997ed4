/** A message as templates expect it: call arguments are objects, tool results carry the tool's name. */
export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
  readonly tool_call_id?: string;
  readonly tool_calls?: ReadonlyArray<{
    readonly id: string;
    readonly type: 'function';
    readonly function: { readonly name: string; readonly arguments: unknown };
  }>;
}

/** A tool as templates expect it. */
export interface TemplateTool {
  readonly type: 'function';
  readonly function: { readonly name: string; readonly description?: string; readonly parameters: unknown };
}

/**
 * Puts tools into plain messages, for templates that know none: the offer as system text, calls and their results
 * between the tags most models were trained on.
 */
export function describeTools(messages: readonly TemplateMessage[], tools: readonly TemplateTool[]): TemplateMessage[] {
  const plain = messages.map(plainMessage);
  if (tools.length === 0) return plain;
  const offer = [
    'You can call these tools, given as JSON Schema:',
    ...tools.map((tool) => JSON.stringify(tool.function)),
    'To call one, answer with nothing but',
    '<tool_call>',
    '{"name": "the tool", "arguments": {}}',
    '</tool_call>',
  ].join('\n');
  const [first, ...rest] = plain;
  if (first?.role === 'system') return [{ role: 'system', content: `${first.content}\n\n${offer}` }, ...rest];
  return [{ role: 'system', content: offer }, ...plain];
}

function plainMessage(message: TemplateMessage): TemplateMessage {
  if (message.role === 'tool')
    return { role: 'user', content: `<tool_response>\n${message.content}\n</tool_response>` };
  if (message.tool_calls === undefined) return message;
  const calls = message.tool_calls.map(
    ({ function: call }) =>
      `<tool_call>\n${JSON.stringify({ name: call.name, arguments: call.arguments })}\n</tool_call>`,
  );
  return { role: message.role, content: [message.content, ...calls].filter((text) => text !== '').join('\n') };
}
