/** Asks one router through the AI SDK with its providers' defaults: `ai-sdk.mjs BASE FOLDER`. Prints what each understood. */
import { createRequire } from 'node:module';

const [base, folder] = process.argv.slice(2);
const load = createRequire(`${folder}/package.json`);
const { generateText, jsonSchema, streamText, tool } = load('ai');
const { createOpenAI } = load('@ai-sdk/openai');
const { createAnthropic } = load('@ai-sdk/anthropic');
const { createGoogleGenerativeAI } = load('@ai-sdk/google');
const { createOpenAICompatible } = load('@ai-sdk/openai-compatible');

const apiKey = 'none';
const models = {
  'openai-responses': createOpenAI({ apiKey, baseURL: `${base}/v1` })('lfo-auto'),
  'openai-chat': createOpenAICompatible({ name: 'lfo', apiKey, baseURL: `${base}/v1` })('lfo-auto'),
  anthropic: createAnthropic({ apiKey, baseURL: `${base}/v1` })('lfo-auto'),
  gemini: createGoogleGenerativeAI({ apiKey, baseURL: `${base}/v1beta` })('lfo-auto'),
};
const weather = tool({
  description: 'The weather.',
  inputSchema: jsonSchema({
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  }),
});
const understood = {};
for (const [name, model] of Object.entries(models)) {
  understood[name] = {};
  for (const [kind, prompt] of Object.entries({ text: 'Say it.', call: 'Call it.' })) {
    const asked = { model, prompt, tools: { weather }, maxRetries: 0 };
    for (const isStream of [false, true]) {
      const result = isStream ? streamText(asked) : await generateText(asked);
      const [text, calls] = [await result.text, await result.toolCalls];
      understood[name][`${kind} ${isStream ? 'in a stream' : 'whole'}`] = [
        text,
        calls.map(({ toolName, input }) => [toolName, input]),
      ];
    }
  }
}
process.stdout.write(JSON.stringify({ understood }));
