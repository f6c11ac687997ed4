import { join } from 'node:path';
import type { JsonObject } from '../../core/json.ts';
import type { AgentName } from './agent-names.ts';
import { mergedJson, withSettings } from './edit.ts';

/** What an agent is pointed at. */
export interface AgentTarget {
  /** The router's origin, without a slash at its end. */
  readonly origin: string;
  readonly key: string;
  readonly model: string;
  /** Of the model; absent: unknown. */
  readonly contextTokens?: number;
  /** Where the agent's user has files and variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/** A file of an agent's configuration, and what becomes of its text; `undefined` where there is none yet. */
export interface AgentFile {
  readonly path: string;
  readonly edit: (text: string | undefined) => string;
}

/** An agent that can be pointed at this router. */
export interface Agent {
  readonly title: string;
  readonly binary: string;
  /** How to get it. */
  readonly install: string;
  /** Its own prompt with tools, and some room for a conversation: with less it fails at once or soon. */
  readonly neededTokens: number;
  readonly dialect: string;
  files(target: AgentTarget): readonly AgentFile[];
  /** For the agent's process; what files cannot say. */
  variables(target: AgentTarget): Readonly<Record<string, string>>;
  /** Arguments that make it answer one prompt and end. */
  headless(prompt: string, target: AgentTarget): readonly string[];
}

const unknownContext = 32_768;

/** An answer that leaves a conversation its room. */
function longestAnswer(contextTokens: number): number {
  return Math.min(8_192, Math.floor(contextTokens / 4));
}

function modelEntry({ model, contextTokens = unknownContext }: AgentTarget): JsonObject {
  return {
    id: model,
    name: `LFO (${model})`,
    reasoning: false,
    input: ['text', 'image'],
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
    contextWindow: contextTokens,
    maxTokens: longestAnswer(contextTokens),
  };
}

/** What Claude Code takes every model for that it does not know. */
const claudeContext = 200_000;

/** Below this its reserve for an answer and for compacting leaves less than its own prompt takes. */
const leastClaudeContext = 49_152;

/** So that it compacts in time, and asks for no longer answer than there is room for. */
function claudeRoom({ contextTokens }: AgentTarget): JsonObject {
  if (contextTokens === undefined) return {};
  return {
    ...(contextTokens >= leastClaudeContext && { CLAUDE_CODE_MAX_CONTEXT_TOKENS: String(contextTokens) }),
    ...(contextTokens < claudeContext && { CLAUDE_CODE_MAX_OUTPUT_TOKENS: String(longestAnswer(contextTokens)) }),
  };
}

const claude: Agent = {
  title: 'Claude Code',
  binary: 'claude',
  install: 'npm install -g @anthropic-ai/claude-code',
  neededTokens: 32_768,
  dialect: 'anthropic',
  files: (target) => [
    {
      path: join(target.env['CLAUDE_CONFIG_DIR'] ?? join(target.home, '.claude'), 'settings.json'),
      edit: (text) =>
        mergedJson(text, {
          env: {
            ANTHROPIC_BASE_URL: target.origin,
            ANTHROPIC_AUTH_TOKEN: target.key,
            ANTHROPIC_MODEL: target.model,
            ANTHROPIC_DEFAULT_OPUS_MODEL: target.model,
            ANTHROPIC_DEFAULT_SONNET_MODEL: target.model,
            ANTHROPIC_DEFAULT_HAIKU_MODEL: target.model,
            ...claudeRoom(target),
            // Else the head of the prompt differs with each request, and nothing of it is found in a cache.
            CLAUDE_CODE_ATTRIBUTION_HEADER: '0',
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
            DISABLE_TELEMETRY: '1',
            DISABLE_ERROR_REPORTING: '1',
            DISABLE_AUTOUPDATER: '1',
          },
        }),
    },
  ],
  variables: () => ({}),
  headless: (prompt) => ['-p', prompt],
};

const codex: Agent = {
  title: 'Codex',
  binary: 'codex',
  install: 'npm install -g @openai/codex',
  neededTokens: 32_768,
  dialect: 'openai-responses',
  files: ({ origin, model, contextTokens, env, home }) => [
    {
      path: join(env['CODEX_HOME'] ?? join(home, '.codex'), 'config.toml'),
      edit: (text) =>
        withSettings(text ?? '', {
          '': {
            model,
            model_provider: 'lfo',
            check_for_update_on_startup: false,
            ...(contextTokens !== undefined && { model_context_window: contextTokens }),
          },
          'model_providers.lfo': {
            name: 'LFO',
            base_url: `${origin}/v1`,
            wire_api: 'responses',
            env_key: 'LFO_API_KEY',
          },
          analytics: { enabled: false },
          feedback: { enabled: false },
        }),
    },
  ],
  variables: ({ key }) => ({ LFO_API_KEY: key }),
  headless: (prompt) => ['exec', '--skip-git-repo-check', prompt],
};

const gemini: Agent = {
  title: 'Gemini CLI',
  binary: 'gemini',
  install: 'npm install -g @google/gemini-cli',
  neededTokens: 32_768,
  dialect: 'gemini',
  files: ({ model, home }) => [
    {
      path: join(home, '.gemini', 'settings.json'),
      edit: (text) =>
        mergedJson(text, {
          security: { auth: { selectedType: 'gemini-api-key' } },
          model: { name: model },
          privacy: { usageStatisticsEnabled: false },
          telemetry: { enabled: false },
          general: { disableAutoUpdate: true, disableUpdateNag: true },
        }),
    },
  ],
  variables: ({ origin, key }) => ({ GOOGLE_GEMINI_BASE_URL: origin, GEMINI_API_KEY: key }),
  headless: (prompt, { model }) => ['--skip-trust', '-m', model, '-p', prompt],
};

const opencode: Agent = {
  title: 'opencode',
  binary: 'opencode',
  install: 'npm install -g opencode-ai',
  neededTokens: 16_384,
  dialect: 'openai-chat',
  files: ({ origin, key, model, contextTokens = unknownContext, env, home }) => [
    {
      path: join(env['XDG_CONFIG_HOME'] ?? join(home, '.config'), 'opencode', 'opencode.json'),
      edit: (text) =>
        mergedJson(text, {
          $schema: 'https://opencode.ai/config.json',
          provider: {
            lfo: {
              npm: '@ai-sdk/openai-compatible',
              name: 'LFO',
              options: { baseURL: `${origin}/v1`, apiKey: key },
              models: {
                [model]: {
                  name: `LFO (${model})`,
                  tool_call: true,
                  limit: { context: contextTokens, output: longestAnswer(contextTokens) },
                },
              },
            },
          },
          model: `lfo/${model}`,
          small_model: `lfo/${model}`,
          autoupdate: false,
          share: 'disabled',
        }),
    },
  ],
  variables: () => ({}),
  headless: (prompt) => ['run', prompt],
};

const openclaw: Agent = {
  title: 'OpenClaw',
  binary: 'openclaw',
  install: 'npm install -g openclaw',
  neededTokens: 32_768,
  dialect: 'openai-chat',
  files: (target) => [
    {
      path: join(target.env['OPENCLAW_STATE_DIR'] ?? join(target.home, '.openclaw'), 'openclaw.json'),
      edit: (text) =>
        mergedJson(text, {
          models: {
            mode: 'merge',
            providers: {
              lfo: {
                baseUrl: `${target.origin}/v1`,
                apiKey: target.key,
                api: 'openai-completions',
                models: [modelEntry(target)],
              },
            },
          },
          agents: { defaults: { model: { primary: `lfo/${target.model}` } } },
          update: { checkOnStart: false },
        }),
    },
  ],
  variables: () => ({}),
  headless: (prompt) => ['agent', '--local', '--session-id', 'lfo-doctor', '--message', prompt],
};

const pi: Agent = {
  title: 'pi',
  binary: 'pi',
  install: 'npm install -g @earendil-works/pi-coding-agent',
  neededTokens: 8_192,
  dialect: 'openai-chat',
  files: (target) => {
    const folder = target.env['PI_CODING_AGENT_DIR'] ?? join(target.home, '.pi', 'agent');
    return [
      {
        path: join(folder, 'models.json'),
        edit: (text) =>
          mergedJson(text, {
            providers: {
              lfo: {
                baseUrl: `${target.origin}/v1`,
                apiKey: target.key,
                api: 'openai-completions',
                models: [modelEntry(target)],
              },
            },
          }),
      },
      {
        path: join(folder, 'settings.json'),
        edit: (text) =>
          mergedJson(text, { defaultProvider: 'lfo', defaultModel: target.model, enableInstallTelemetry: false }),
      },
    ];
  },
  variables: () => ({ PI_TELEMETRY: '0', PI_SKIP_VERSION_CHECK: '1' }),
  headless: (prompt, { model }) => ['--provider', 'lfo', '--model', model, '-p', prompt],
};

const qwenCode: Agent = {
  title: 'Qwen Code',
  binary: 'qwen',
  install: 'npm install -g @qwen-code/qwen-code',
  neededTokens: 32_768,
  dialect: 'openai-chat',
  files: ({ origin, model, contextTokens = unknownContext, home }) => [
    {
      path: join(home, '.qwen', 'settings.json'),
      edit: (text) =>
        mergedJson(text, {
          modelProviders: {
            openai: [
              {
                id: model,
                name: `LFO (${model})`,
                baseUrl: `${origin}/v1`,
                envKey: 'LFO_API_KEY',
                generationConfig: { contextWindowSize: contextTokens },
              },
            ],
          },
          security: { auth: { selectedType: 'openai' } },
          model: { name: model },
          privacy: { usageStatisticsEnabled: false },
          telemetry: { enabled: false },
          general: { disableAutoUpdate: true, enableAutoUpdate: false },
        }),
    },
  ],
  variables: ({ key, origin, model }) => ({
    LFO_API_KEY: key,
    OPENAI_API_KEY: key,
    OPENAI_BASE_URL: `${origin}/v1`,
    OPENAI_MODEL: model,
  }),
  headless: (prompt) => ['-p', prompt],
};

const copilot: Agent = {
  title: 'Copilot CLI',
  binary: 'copilot',
  install: 'npm install -g @github/copilot',
  neededTokens: 32_768,
  dialect: 'openai-chat',
  files: () => [],
  variables: ({ origin, key, model }) => ({
    COPILOT_PROVIDER_BASE_URL: `${origin}/v1`,
    COPILOT_PROVIDER_TYPE: 'openai',
    COPILOT_PROVIDER_API_KEY: key,
    COPILOT_MODEL: model,
    // Nothing but the provider is called, and nothing is reported.
    COPILOT_OFFLINE: 'true',
    COPILOT_AUTO_UPDATE: 'false',
  }),
  headless: (prompt) => ['-p', prompt],
};

/** By the name that the command takes. */
const byName: Readonly<Record<AgentName, Agent>> = {
  claude,
  codex,
  copilot,
  gemini,
  openclaw,
  opencode,
  pi,
  'qwen-code': qwenCode,
};

/** The agent of that name. */
export function agentNamed(name: string): Agent | undefined {
  return Object.entries(byName).find(([known]) => known === name)?.[1];
}
