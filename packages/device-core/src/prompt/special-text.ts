/**
 * Texts that small models were trained to see as control tokens: ChatML's, Llama's and Gemma's, and the marks of calls.
 * An engine that tokenises a whole prompt at once cannot tell them from those of the template.
 */
const special =
  /<(?=\|[^|<>\n]{1,40}\|>|\/?(?:s|bos|eos|pad|unk|think|tool_call|tool_response|function_call|escape)>|(?:start|end)_(?:of_turn|function_[a-z_]{1,20})>)|\[(?=\/?(?:INST|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\])/g;

/** Text from outside, changed where it would turn into control tokens: a space follows the sign that opens one. */
export function disarmed(text: string): string {
  return text.replace(special, (sign) => `${sign} `);
}
