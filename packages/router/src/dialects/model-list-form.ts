/** Three SDKs ask one address for models, each in its own words; their headers tell them apart. */
export function modelListForm(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): 'anthropic' | 'gemini' | 'openai' {
  if (headers['anthropic-version'] !== undefined) return 'anthropic';
  if (headers['x-goog-api-client'] !== undefined || headers['x-goog-api-key'] !== undefined) return 'gemini';
  return 'openai';
}
