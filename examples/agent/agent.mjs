// An agent with two tools: asks until the model has no more calls, and tells which steps stayed local.
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: `${process.env.LFO_URL ?? 'http://localhost:8080'}/v1`,
  apiKey: process.env.LFO_AUTH_TOKEN ?? 'none',
});

const text = { type: 'string' };
const tools = [
  tool('get_weather', 'The weather in a city now.', { city: text }, ({ city }) => `12 degrees and rain in ${city}`),
  tool('get_time', 'The time in a city now.', { city: text }, ({ city }) => `${new Date().toISOString()} in ${city}`),
];
const messages = [{ role: 'user', content: process.argv[2] ?? 'What is the weather in Bern?' }];

for (let step = 1; step <= 8; step++) {
  const answer = await client.chat.completions.create({
    model: 'lfo-auto',
    messages,
    tools: tools.map(({ type, function: declared }) => ({ type, function: declared })),
    // One conversation stays where its prompt is in the cache.
    user: 'example-agent',
  });
  const { message } = answer.choices[0];
  const { route, routing_reason: reason } = answer.lfo_metadata;
  messages.push(message);
  const calls = message.tool_calls ?? [];
  console.log(`step ${step}: ${route} (${reason}), ${calls.length === 0 ? 'the answer' : names(calls)}`);
  if (calls.length === 0) {
    console.log(message.content);
    break;
  }
  for (const { id, function: called } of calls) {
    const known = tools.find(({ function: declared }) => declared.name === called.name);
    // What a model wrote is untrusted: look before you run it.
    const content = known === undefined ? 'There is no such tool.' : known.run(JSON.parse(called.arguments));
    messages.push({ role: 'tool', tool_call_id: id, content });
  }
}

function tool(name, description, properties, run) {
  const parameters = { type: 'object', properties, required: Object.keys(properties) };
  return { type: 'function', function: { name, description, parameters }, run };
}

function names(calls) {
  return calls.map(({ function: { name, arguments: text } }) => `${name}(${text})`).join(', ');
}
