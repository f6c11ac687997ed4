/** An agent as its users install and start it. */
export interface TriedAgent {
  readonly name: string;
  readonly package: string;
  readonly version: string;
  readonly wire: string;
  /** Files under its home beside those of its snippet: what a person would have answered once. */
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** What is put behind its snippet's command, to answer one prompt and end. */
  readonly arguments: (prompt: string) => readonly string[];
  /** Its command, where the snippet is a file. */
  readonly command?: string;
}

/** All of them; how each is pointed at LFO stands in `docs/clients.md`, under a heading of its name. */
export const triedAgents: readonly TriedAgent[] = [
  {
    name: 'Claude Code',
    package: '@anthropic-ai/claude-code',
    version: '2.1.328',
    wire: 'Messages',
    env: { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' },
    arguments: (prompt) => ['-p', prompt, '--allowedTools', 'Bash'],
  },
  {
    name: 'Codex',
    package: '@openai/codex',
    version: '0.171.0',
    wire: 'Responses',
    command: 'codex',
    arguments: (prompt) => ['exec', '--skip-git-repo-check', '--sandbox', 'danger-full-access', prompt],
  },
  {
    name: 'Gemini CLI',
    package: '@google/gemini-cli',
    version: '0.61.0',
    wire: 'Gemini',
    files: {
      '.gemini/settings.json':
        '{"security":{"auth":{"selectedType":"gemini-api-key"}},"privacy":{"usageStatisticsEnabled":false}}',
    },
    arguments: (prompt) => ['--skip-trust', '-y', '-p', prompt],
  },
  {
    name: 'opencode',
    package: 'opencode-ai',
    version: '1.18.33',
    wire: 'OpenAI chat',
    command: 'opencode',
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1' },
    arguments: (prompt) => ['run', prompt],
  },
  {
    name: 'OpenClaw',
    package: 'openclaw',
    version: '2026.9.6',
    wire: 'OpenAI chat',
    command: 'openclaw',
    arguments: (prompt) => ['agent', '--local', '--session-id', 'lfo', '--message', prompt],
  },
];
