import { computed, signal } from '@preact/signals';

/** Everything of a request beside its prompt, as it was typed. */
const fields = {
  system: signal(''),
  tools: signal(''),
  schema: signal(''),
  maxTokens: signal('512'),
  temperature: signal(''),
  topP: signal(''),
  seed: signal(''),
  threshold: signal(''),
} as const;

const exampleTool = `[{ "type": "function", "function": { "name": "get_weather", "parameters":
  { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } }]`;
const exampleSchema = '{ "type": "object", "properties": { "answer": { "type": "string" } }, "required": ["answer"] }';

/** System text, tools, schema, parameters and threshold; folded until somebody wants them. */
export function Options() {
  return (
    <details class="options">
      <summary>System text, tools, schema, parameters, threshold</summary>
      <div class="option-grid">
        <Text name="system" label="System text" placeholder="You are terse." />
        <Text name="tools" label="Tools (JSON)" placeholder={exampleTool} isCode />
        <Text name="schema" label="Schema of the answer (JSON Schema)" placeholder={exampleSchema} isCode />
      </div>
      <div class="fields">
        <Number name="maxTokens" label="Tokens at most" />
        <Number name="temperature" label="Temperature" placeholder="as served" />
        <Number name="topP" label="Top p" placeholder="as served" />
        <Number name="seed" label="Seed" placeholder="none" />
        <Number name="threshold" label="Threshold, 0 to 1" placeholder="as configured" />
      </div>
      {optionFaults.value.map((fault) => (
        <p key={fault} class="error" role="alert">
          {fault}
        </p>
      ))}
    </details>
  );
}

type FieldName = keyof typeof fields;

/** Puts the system text of a recorded request in place of what is there. */
export function setSystem(text: string): void {
  fields.system.value = text;
}

function Text({
  name,
  label,
  placeholder,
  isCode,
}: {
  name: FieldName;
  label: string;
  placeholder: string;
  isCode?: true;
}) {
  return (
    <div>
      <label for={`option-${name}`}>{label}</label>
      <textarea
        id={`option-${name}`}
        rows={3}
        class={isCode === true ? 'code' : ''}
        spellcheck={isCode !== true}
        value={fields[name].value}
        placeholder={placeholder}
        onInput={({ currentTarget: { value } }) => void (fields[name].value = value)}
      />
    </div>
  );
}

function Number({ name, label, placeholder }: { name: FieldName; label: string; placeholder?: string }) {
  return (
    <div>
      <label for={`option-${name}`}>{label}</label>
      <input
        id={`option-${name}`}
        inputMode="decimal"
        value={fields[name].value}
        placeholder={placeholder}
        onInput={({ currentTarget: { value } }) => void (fields[name].value = value)}
      />
    </div>
  );
}

/** What of the options cannot be sent, in words. */
export const optionFaults = computed((): readonly string[] => {
  const numbers = [
    ['maxTokens', 'Tokens at most', 1, 1e6],
    ['temperature', 'Temperature', 0, 2],
    ['topP', 'Top p', 0, 1],
    ['seed', 'Seed', -2_147_483_648, 2_147_483_647],
    ['threshold', 'Threshold', 0, 1],
  ] as const;
  return [
    ...(isJson(fields.tools.value, Array.isArray) ? [] : ['Tools: this is no JSON list.']),
    ...(isJson(fields.schema.value, isObject) ? [] : ['Schema: this is no JSON object.']),
    ...numbers.flatMap(([name, label, least, most]) => {
      const text = fields[name].value.trim();
      const value = +text;
      return text === '' || (value >= least && value <= most) ? [] : [`${label}: a number from ${least} to ${most}.`];
    }),
  ];
});

function parsed(text: string): unknown {
  return JSON.parse(text);
}

function isJson(text: string, fits: (value: unknown) => boolean): boolean {
  if (text.trim() === '') return true;
  try {
    return fits(JSON.parse(text));
  } catch {
    return false;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The options as a chat's body has them. Call where there are no faults. */
export function optionsBody(): { readonly system: string | undefined; readonly [name: string]: unknown } {
  const number = (name: FieldName): number | undefined => {
    const text = fields[name].value.trim();
    return text === '' ? undefined : +text;
  };
  const [tools, schema] = [fields.tools.value.trim(), fields.schema.value.trim()];
  const threshold = number('threshold');
  const given = {
    max_tokens: number('maxTokens'),
    temperature: number('temperature'),
    top_p: number('topP'),
    seed: number('seed'),
    ...(tools !== '' && { tools: parsed(tools) }),
    ...(schema !== '' && {
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: parsed(schema) } },
    }),
    ...(threshold !== undefined && { metadata: { confidence_threshold: String(threshold) } }),
  };
  const system = fields.system.value.trim();
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    system: system === '' ? undefined : system,
  };
}
