import { createInterface, type Interface } from 'node:readline';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json.ts';
import { reasons } from '../core/reason.ts';
import type { RouterClient } from './router-client.ts';
import { CliError, coloursFor, exitCodes, plainText, printLine, type Colours, type Terminal } from './terminal.ts';

export interface ChatOptions {
  readonly mode: string;
  /** One JSON line an answer instead of prose. */
  readonly json: boolean;
}

const modes: ReadonlySet<string> = new Set(['auto', 'local', 'cloud']);
const help = '/auto, /local, /cloud choose where answers come from · /new forgets the conversation · /quit ends';

/** One question, its answer and where that came from; then it ends. */
export async function ask(
  terminal: Terminal,
  client: RouterClient,
  options: ChatOptions,
  question: string,
): Promise<number> {
  const conversation = new Conversation(terminal, client, options);
  const stopListening = terminal.onSignal('SIGINT', () => void conversation.interrupt());
  try {
    return (await conversation.say(question)) === 'done' ? exitCodes.done : exitCodes.failed;
  } finally {
    stopListening();
  }
}

/**
 * A conversation with a running LFO: a line is a turn, an answer streams and is followed by where it came from.
 * Ctrl-C stops an answer, and at the prompt ends the conversation. Off a terminal lines are read until the input ends.
 */
export async function chat(terminal: Terminal, client: RouterClient, options: ChatOptions): Promise<number> {
  const conversation = new Conversation(terminal, client, options);
  const lines = createInterface({
    input: terminal.input,
    ...(terminal.isInteractive && { output: terminal.output, terminal: true }),
  });
  let exitCode: number = exitCodes.done;
  const onInterrupt = (): void => {
    if (!conversation.interrupt()) lines.close();
  };
  lines.on('SIGINT', onInterrupt);
  const stopListening = terminal.onSignal('SIGINT', onInterrupt);
  try {
    if (terminal.isInteractive) printLine(terminal, conversation.greeting());
    prompt(lines, terminal, conversation);
    for await (const line of lines) {
      const outcome = await conversation.take(line.trim());
      if (outcome === 'quit') break;
      // A script wants to know; a person has read it.
      if (outcome === 'failed' && !terminal.isInteractive) exitCode = exitCodes.failed;
      prompt(lines, terminal, conversation);
    }
  } finally {
    stopListening();
    lines.close();
  }
  return exitCode;
}

function prompt(lines: Interface, terminal: Terminal, conversation: Conversation): void {
  if (!terminal.isInteractive) return;
  lines.setPrompt(conversation.promptText());
  lines.prompt();
}

class Conversation {
  readonly #terminal: Terminal;
  readonly #client: RouterClient;
  readonly #colours: Colours;
  readonly #json: boolean;
  #mode: string;
  #messages: JsonObject[] = [];
  #running: AbortController | undefined;

  constructor(terminal: Terminal, client: RouterClient, options: ChatOptions) {
    this.#terminal = terminal;
    this.#client = client;
    this.#colours = coloursFor(terminal);
    this.#mode = options.mode;
    this.#json = options.json;
  }

  greeting(): string {
    return this.#colours.dim(`Talking to ${this.#client.url}. ${help}`);
  }

  promptText(): string {
    return this.#mode === 'auto' ? '› ' : `${this.#mode} › `;
  }

  /** Stops the answer under way; false when there is none. */
  interrupt(): boolean {
    if (this.#running === undefined) return false;
    this.#running.abort();
    return true;
  }

  async take(line: string): Promise<'quit' | 'failed' | 'done'> {
    if (line === '') return 'done';
    return line.startsWith('/') ? this.#command(line.slice(1)) : this.say(line);
  }

  async say(line: string): Promise<'failed' | 'done'> {
    try {
      await this.#ask(line);
      return 'done';
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      this.#messages.pop();
      this.#terminal.errors.write(`${this.#colours.red(plainText(error.message))}\n`);
      return 'failed';
    }
  }

  #command(name: string): 'quit' | 'done' {
    if (['quit', 'exit', 'q'].includes(name)) return 'quit';
    if (modes.has(name)) this.#mode = name;
    else if (name === 'new') this.#messages = [];
    else this.#terminal.errors.write(`${help}\n`);
    return 'done';
  }

  async #ask(content: string): Promise<void> {
    this.#messages.push({ role: 'user', content });
    const abort = new AbortController();
    this.#running = abort;
    const body = { messages: this.#messages, metadata: { mode: this.#mode }, stream: true };
    let text = '';
    let metadata: JsonObject = {};
    try {
      for await (const chunk of this.#client.stream('/v1/chat/completions', body, abort.signal)) {
        const piece = deltaText(chunk);
        text += piece;
        if (!this.#json) this.#terminal.output.write(plainText(piece));
        if (isJsonObject(chunk['lfo_metadata'])) metadata = chunk['lfo_metadata'];
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      metadata = { stopped: true };
    } finally {
      this.#running = undefined;
    }
    this.#messages.push({ role: 'assistant', content: text });
    if (this.#json) printLine(this.#terminal, asciiControls(JSON.stringify({ answer: text, lfo_metadata: metadata })));
    else this.#terminal.output.write(`\n${this.#colours.dim(plainText(summary(metadata)))}\n\n`);
  }
}

/** `local · qwen · scored 0.91 ≥ 0.70 · 812 ms · confident`, or `cloud · gemini · local scored 0.65 < 0.70 → gemini`, and why. */
function summary(metadata: JsonObject): string {
  if (metadata['stopped'] === true) return '[stopped]';
  const reason = text(metadata['routing_reason']);
  const parts = [
    text(metadata['route']),
    text(metadata['model']) || text(metadata['backend']),
    scoreText(metadata),
    metadata['degraded'] === true ? 'degraded' : '',
    typeof metadata['latency_ms'] === 'number' ? `${Math.round(metadata['latency_ms'])} ms` : '',
    reason,
  ];
  const words = Object.entries(reasons).find(([code]) => code === reason)?.[1];
  return `[${parts.filter((part) => part !== '').join(' · ')}]${words === undefined ? '' : ` ${words}`}`;
}

/** What was scored, against what, and where that led. */
function scoreText({ confidence, threshold, attempts, route, backend }: JsonObject): string {
  const limit = typeof threshold === 'number' ? threshold.toFixed(2) : '';
  const compared = (value: number): string =>
    `${value.toFixed(2)} ${typeof threshold === 'number' && value < threshold ? '<' : '≥'} ${limit}`;
  if (typeof confidence === 'number') return `scored ${compared(confidence)}`;
  const tried = Array.isArray(attempts)
    ? attempts.filter(isJsonObject).findLast(({ tier }) => tier === 'local')
    : undefined;
  const score = tried?.['score'];
  return route === 'cloud' && typeof score === 'number' ? `local scored ${compared(score)} → ${text(backend)}` : '';
}

/** JSON leaves the upper control characters as they are, and some terminals obey them. */
function asciiControls(json: string): string {
  return json.replace(/[\u007f-\u009f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function deltaText(chunk: JsonObject): string {
  const choices = chunk['choices'];
  const choice = Array.isArray(choices) ? choices[0] : undefined;
  const delta = isJsonObject(choice) ? choice['delta'] : undefined;
  return isJsonObject(delta) ? text(delta['content']) || text(delta['refusal']) : '';
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
