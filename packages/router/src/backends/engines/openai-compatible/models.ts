import { isJsonObject, type JsonObject, type JsonValue } from '../../../core/json.ts';

/** One model as a server lists it. */
export interface ListedModel {
  readonly id: string;
  /** Where the server tells. */
  readonly contextTokens?: number;
  readonly maxOutputTokens?: number;
  /** Absent: it does not tell. */
  readonly tools?: boolean;
  readonly images?: boolean;
  readonly jsonSchema?: boolean;
  readonly reasoning?: boolean;
  readonly infill?: boolean;
}

/** Where servers write the context they were started with, most telling first. */
const contextFields = [
  'loaded_context_length',
  'max_model_len',
  'context_length',
  'context_window',
  'max_context_length',
] as const;

/** Reads the answer of `GET /models`; entries without an id are left out. */
export function listedModels(value: JsonValue): ListedModel[] {
  const list = isJsonObject(value) ? (value['data'] ?? value['models']) : value;
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: JsonValue) => {
    if (!isJsonObject(entry) || typeof entry['id'] !== 'string' || entry['id'] === '') return [];
    const contextTokens = contextOf(entry);
    const maxOutputTokens = lengthIn(entry['max_output_tokens']);
    return [
      {
        id: entry['id'],
        ...(contextTokens === undefined ? {} : { contextTokens }),
        ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
      },
    ];
  });
}

function contextOf(entry: JsonObject): number | undefined {
  const meta = isJsonObject(entry['meta']) ? entry['meta']['n_ctx'] : undefined;
  for (const value of [...contextFields.map((field) => entry[field]), meta]) {
    const length = lengthIn(value);
    if (length !== undefined) return length;
  }
  return undefined;
}

function lengthIn(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
