/** Type of one field in Google's published message definitions (proto3 JSON mapping). */
export type FieldType =
  | 'string'
  | 'bytes'
  | 'bool'
  | 'int32'
  | 'int64'
  | 'double'
  | 'struct'
  | 'value'
  | { readonly enum: readonly string[] }
  | { readonly message: string }
  | { readonly list: FieldType }
  | { readonly map: FieldType };

type Message = Readonly<Record<string, FieldType>>;

const list = (of: FieldType): FieldType => ({ list: of });
const message = (name: string): FieldType => ({ message: name });
const oneOf = (...values: string[]): FieldType => ({ enum: values });

/**
 * Fields of a `GenerateContentRequest`, message by message: google.ai.generativelanguage.v1beta as published in
 * `@google-ai/generativelanguage` 4.1.0, as far as text models read them.
 */
const published: Readonly<Record<string, Message>> = {
  GenerateContentRequest: {
    model: 'string',
    systemInstruction: message('Content'),
    contents: list(message('Content')),
    tools: list(message('Tool')),
    toolConfig: message('ToolConfig'),
    safetySettings: list(message('SafetySetting')),
    generationConfig: message('GenerationConfig'),
    cachedContent: 'string',
  },
  Content: { parts: list(message('Part')), role: 'string' },
  Part: {
    text: 'string',
    inlineData: message('Blob'),
    functionCall: message('FunctionCall'),
    functionResponse: message('FunctionResponse'),
    fileData: message('FileData'),
    thought: 'bool',
    thoughtSignature: 'bytes',
    partMetadata: 'struct',
  },
  Blob: { mimeType: 'string', data: 'bytes' },
  FileData: { mimeType: 'string', fileUri: 'string' },
  FunctionCall: { id: 'string', name: 'string', args: 'struct' },
  FunctionResponse: { id: 'string', name: 'string', response: 'struct', willContinue: 'bool' },
  Tool: {
    functionDeclarations: list(message('FunctionDeclaration')),
    googleSearch: message('GoogleSearch'),
    urlContext: message('UrlContext'),
    codeExecution: message('CodeExecution'),
  },
  GoogleSearch: {},
  UrlContext: {},
  CodeExecution: {},
  FunctionDeclaration: {
    name: 'string',
    description: 'string',
    parameters: message('Schema'),
    parametersJsonSchema: 'value',
    response: message('Schema'),
    responseJsonSchema: 'value',
    behavior: oneOf('UNSPECIFIED', 'BLOCKING', 'NON_BLOCKING'),
  },
  Schema: {
    type: oneOf('STRING', 'NUMBER', 'INTEGER', 'BOOLEAN', 'ARRAY', 'OBJECT', 'NULL'),
    format: 'string',
    title: 'string',
    description: 'string',
    nullable: 'bool',
    enum: list('string'),
    items: message('Schema'),
    maxItems: 'int64',
    minItems: 'int64',
    properties: { map: message('Schema') },
    required: list('string'),
    minProperties: 'int64',
    maxProperties: 'int64',
    minimum: 'double',
    maximum: 'double',
    minLength: 'int64',
    maxLength: 'int64',
    pattern: 'string',
    example: 'value',
    anyOf: list(message('Schema')),
    propertyOrdering: list('string'),
    default: 'value',
  },
  ToolConfig: { functionCallingConfig: message('FunctionCallingConfig') },
  FunctionCallingConfig: {
    mode: oneOf('AUTO', 'ANY', 'NONE', 'VALIDATED'),
    allowedFunctionNames: list('string'),
  },
  SafetySetting: { category: 'string', threshold: 'string' },
  GenerationConfig: {
    candidateCount: 'int32',
    stopSequences: list('string'),
    maxOutputTokens: 'int32',
    temperature: 'double',
    topP: 'double',
    topK: 'int32',
    seed: 'int32',
    responseMimeType: 'string',
    responseSchema: message('Schema'),
    responseJsonSchema: 'value',
    presencePenalty: 'double',
    frequencyPenalty: 'double',
    responseLogprobs: 'bool',
    logprobs: 'int32',
    responseModalities: list('string'),
    thinkingConfig: message('ThinkingConfig'),
    mediaResolution: 'string',
  },
  ThinkingConfig: { includeThoughts: 'bool', thinkingBudget: 'int32' },
};

/** Fields newer than that package, from Google's REST reference. */
const newer: Readonly<Record<string, Message>> = {
  ThinkingConfig: { thinkingLevel: oneOf('MINIMAL', 'LOW', 'MEDIUM', 'HIGH') },
};

/** The fields of a message, newer ones included; `undefined` for a message that is not described. */
export function fieldsOf(name: string): Message | undefined {
  const fields = published[name];
  return fields === undefined ? undefined : { ...fields, ...newer[name] };
}
