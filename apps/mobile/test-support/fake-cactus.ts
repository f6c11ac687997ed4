import { pause, speak, tokensOf } from './tiny-model';

/** A call that the library made of its native object. */
export interface NativeCall {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What the native object of cactus-react-native does, as its C++ does it, with a model of a few words. */
export class FakeCactus {
  readonly calls: NativeCall[] = [];
  /** Milliseconds a token takes. */
  tokenMs = 2;
  confidence = 0.87;
  /** Cactus' decoder may leave marks out of what it streams. */
  hidesMarks = false;
  #isBusy = false;
  #isStopped = false;

  /** In place of NitroModules.createHybridObject. */
  create = (kind: string): object => {
    const methods: Readonly<Record<string, (...args: never[]) => Promise<unknown>>> =
      kind === 'Cactus'
        ? {
            init: this.#init,
            complete: this.#complete,
            prefill: this.#prefill,
            tokenize: async (text: string) => tokensOf(text).map((_, at) => at),
            stop: async () => void (this.#isStopped = true),
            reset: async () => {},
            destroy: async () => {},
            setTelemetryEnvironment: async () => {},
          }
        : { getCactusDirectory: async () => '/data/cactus' };
    return Object.fromEntries(
      Object.entries(methods).map(([name, run]) => [
        name,
        (...args: never[]) => {
          this.calls.push({ name, args });
          return run(...args);
        },
      ]),
    );
  };

  callsOf(name: string): readonly NativeCall[] {
    return this.calls.filter((call) => call.name === name);
  }

  #init = async (path: string): Promise<void> => {
    if (path.includes('gone')) throw new Error(`Failed to initialize model at ${path}`);
  };

  #prefill = async (messages: string): Promise<string> => {
    return JSON.stringify({ success: true, error: null, prefill_tokens: tokensOf(messages).length });
  };

  #complete = async (
    messagesJson: string,
    buffer: number,
    optionsJson: string,
    toolsJson: string | undefined,
    onToken: (token: string, id: number) => void,
  ): Promise<string> => {
    const { max_tokens: max, ...options } = JSON.parse(optionsJson);
    if ((max >= 1 && max <= 5) || max === 8) throw new Error('Failed to complete');
    if (this.#isBusy) throw new Error('The native model runs already.');
    this.#isBusy = true;
    this.#isStopped = false;
    const messages: { role: string; content: string }[] = JSON.parse(messagesJson);
    const all: { function: { name: string } }[] = JSON.parse(toolsJson ?? '[]');
    const tools = all.slice(0, options.tool_rag_top_k ?? 2).map((tool) => tool.function.name);
    const user = messages.findLast(({ role }) => role === 'user')?.content ?? '';
    let text = '';
    let count = 0;
    let stopWord: string | undefined;
    const call = (name: string): string =>
      `<start_function_call>call:${name}{city:<escape>Oslo<escape>,days:2}<end_function_call>`;
    for (const token of speak({ user, tools, mustCall: options.force_tools === true }, call)) {
      if (this.#isStopped || count >= max || stopWord !== undefined) break;
      await pause(this.tokenMs);
      if (this.#isStopped) break;
      const all = text + token;
      stopWord = (options.stop_sequences ?? []).find((stop: string) => all.includes(stop));
      if (stopWord !== undefined) break;
      text = all;
      count += 1;
      const shown = this.hidesMarks ? '' : token;
      onToken(shown, count);
    }
    this.#isBusy = false;
    const called = /call:(\w+)/.exec(text)?.[1];
    const answer = JSON.stringify({
      success: true,
      response: called === undefined ? text : '',
      function_calls: called === undefined ? [] : [{ name: called, arguments: { city: 'Oslo', days: 2 } }],
      cloud_handoff: this.confidence < (options.confidence_threshold ?? 0.7),
      confidence: this.confidence,
      time_to_first_token_ms: this.tokenMs,
      total_time_ms: count * this.tokenMs,
      prefill_tokens: tokensOf(user).length,
      prefill_tps: 900,
      decode_tokens: count,
      decode_tps: 1000 / this.tokenMs,
      total_tokens: count + 40,
    });
    if (answer.length > buffer) throw new Error('Response buffer too small');
    return answer;
  };
}
