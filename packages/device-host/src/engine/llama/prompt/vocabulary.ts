import { LlamaVocabularyType, type LlamaModel, type Token } from 'node-llama-cpp';
import { EngineError, type EngineRequest } from '@lfo/device-core';
import type { TemplateSource } from './chat-template.ts';
import type { PromptSegment } from './special-text-guard.ts';
import { TokenCache } from './token-cache.ts';

/** Token types of the GGUF specification that only the template may produce: unknown and control. */
const templateTypes: ReadonlySet<number> = new Set([2, 3]);
/** Marks within an answer that some vocabularies hold as control tokens. */
const marks = [
  '<think>',
  '</think>',
  '<tool_call>',
  '</tool_call>',
  '<start_function_call>',
  '<end_function_call>',
  '<escape>',
];
/** What a model writes when it waits for a tool's result. */
const turnMarks = ['<start_function_response>', '<tool_response>'];
/** Enough to tell whether a space belongs before a token. */
const recentTokens = 3;

/** The tokens of a loaded model, and its text about prompts. */
export class Vocabulary {
  readonly source: TemplateSource;
  readonly #model: LlamaModel;
  readonly #marks: ReadonlyMap<Token, string>;
  readonly #turnEnds: ReadonlySet<Token>;
  readonly #needsBefore: boolean;
  /** Absent where text and what stands before it are read together. */
  readonly #cache: TokenCache | undefined;

  constructor(model: LlamaModel) {
    const { tokenizer } = model.fileInfo.metadata;
    const types = tokenizer.ggml.token_type ?? [];
    const texts = tokenizer.ggml.tokens;
    this.#model = model;
    this.source = {
      template: tokenizer.chat_template,
      bosToken: model.tokens.bosString ?? '',
      eosToken: model.tokens.eosString ?? '',
      controlTexts: texts.filter((_, index) => templateTypes.has(types[index] ?? 0)),
    };
    this.#marks = new Map(this.#single(marks).filter(([token]) => model.detokenize([token]) === ''));
    this.#turnEnds = new Set(this.#single(turnMarks).map(([token]) => token));
    this.#needsBefore = model.vocabularyType !== LlamaVocabularyType.bpe;
    this.#cache = this.#needsBefore
      ? undefined
      : new TokenCache(this.source.controlTexts, (text) => model.tokenize(text, true, 'trimLeadingSpace'));
  }

  /** Tokens of a rendered prompt. */
  tokenize(segments: readonly PromptSegment[]): Token[] {
    const tokens = segments.flatMap(({ text, isTemplate }, index) =>
      isTemplate && this.#cache !== undefined
        ? this.#cache.tokens(text)
        : this.#model.tokenize(text, isTemplate, index === 0 ? undefined : 'trimLeadingSpace'),
    );
    return this.#withBos(tokens);
  }

  /** Whether the model was trained to fill in the middle of a text. */
  get hasInfill(): boolean {
    return this.#infill !== undefined;
  }

  /**
   * Tokens of a text that is to be gone on with: as it stands, its marks of the model's included; or up to a suffix, both
   * sides as plain text around the marks for that.
   * @throws EngineError where the model has no such marks
   */
  tokensOf({ prompt, suffix }: NonNullable<EngineRequest['text']>): Token[] {
    if (suffix === undefined) return this.#withBos(this.#model.tokenize(prompt, true));
    if (this.#infill === undefined) {
      throw new EngineError('bad_request', 'This model does not fill in the middle of a text.', false);
    }
    const { prefix, suffix: after, middle } = this.#infill;
    const plain = (text: string): Token[] => this.#model.tokenize(text, false, 'trimLeadingSpace');
    return this.#withBos([prefix, ...plain(prompt), after, ...plain(suffix), middle]);
  }

  get #infill(): { readonly prefix: Token; readonly suffix: Token; readonly middle: Token } | undefined {
    const { prefix, suffix, middle } = this.#model.tokens.infill;
    return prefix === null || suffix === null || middle === null ? undefined : { prefix, suffix, middle };
  }

  #withBos(tokens: Token[]): Token[] {
    const { bos, shouldPrependBosToken } = this.#model.tokens;
    return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
  }

  /** Text of tokens, control tokens left out. */
  detokenize(tokens: readonly Token[], before: readonly Token[]): string {
    return this.#model.detokenize(tokens, false, this.#needsBefore ? before.slice(-recentTokens) : undefined);
  }

  /** The text of a token that marks calls or thinking and that `detokenize` leaves out, else undefined. */
  mark(token: Token): string | undefined {
    return this.#marks.get(token);
  }

  /** Whether the model hands over to a tool with this token. */
  endsTurn(token: Token): boolean {
    return this.#turnEnds.has(token);
  }

  #single(texts: readonly string[]): Array<[Token, string]> {
    return texts.flatMap((text): Array<[Token, string]> => {
      const [token, ...more] = this.#model.tokenize(text, true);
      return token === undefined || more.length > 0 ? [] : [[token, text]];
    });
  }
}
