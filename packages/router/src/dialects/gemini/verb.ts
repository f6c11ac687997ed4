/** The methods of a model. */
export const verbs = [
  'generateContent',
  'streamGenerateContent',
  'countTokens',
  'embedContent',
  'batchEmbedContents',
] as const;

export type Verb = (typeof verbs)[number];

/** The model and the method of a path such as `qwen3:4b:generateContent`; ids hold colons and slashes of their own. */
export function verbOf(path: string): { readonly model: string; readonly verb: Verb } | undefined {
  const at = path.lastIndexOf(':');
  const verb = verbs.find((name) => name === path.slice(at + 1));
  return at <= 0 || verb === undefined ? undefined : { model: path.slice(0, at), verb };
}
