// The OpenAI SDK as it is, with another base URL: npm install openai, node ask.mjs "A question"
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.LFO_URL ?? 'http://localhost:8080'}/v1`,
  apiKey: process.env.LFO_AUTH_TOKEN ?? 'none',
});
const messages = [{ role: 'user', content: process.argv[2] ?? 'What is 2 + 2?' }];

// One answer in one piece; what LFO says of it is beside it.
const answer = await client.chat.completions.create({ model: 'lfo-auto', messages });
const { route, backend, confidence, routing_reason: reason } = answer.lfo_metadata;
console.log(answer.choices[0].message.content);
console.log(`(${route}, ${backend}, confidence ${confidence ?? 'not judged'}, ${reason})`);

// The same as a stream, which never leaves your network: the last chunk tells where it came from.
const stream = await client.chat.completions.create({ model: 'lfo-local', messages, stream: true });
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? '');
  if (chunk.lfo_metadata) console.log(`\n(${chunk.lfo_metadata.route}, nothing left: ${chunk.lfo_metadata.egress})`);
}
