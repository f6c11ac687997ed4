import { platform } from 'node:os';

/** How a process was started. */
export interface StartedAs {
  readonly execPath: string;
  /** Script and arguments. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly system: NodeJS.Platform;
}

/** Of flags that make no sense at each start. */
const once: ReadonlySet<string> = new Set(['--pair', '--install-hint', '--json']);
const withValue: ReadonlySet<string> = new Set(['--pair']);
const kept = ['LFO_DATA_DIR', 'LFO_MODELS_DIR', 'LFO_MODEL_BASE_URL', 'LFO_OFFLINE'];

/** What makes this command run at each start of the machine: a systemd user unit, a launchd agent, or the command. */
export function installHint({ execPath, words, env, system }: StartedAs): string {
  const command = [execPath, ...lasting(words)];
  const variables = kept.flatMap((name) => {
    const value = env[name];
    return value === undefined || value === '' ? [] : [[name, value] as const];
  });
  if (system === 'linux') return systemdUnit(command, variables);
  if (system === 'darwin') return launchdAgent(command, variables);
  return `${command.map((word) => `"${word}"`).join(' ')}\n`;
}

/** How this very process was started. */
export function startedAs({ execPath, argv, env }: NodeJS.Process): StartedAs {
  return { execPath, words: argv.slice(1), env, system: platform() };
}

function lasting(words: readonly string[]): readonly string[] {
  return words.filter((word, at) => {
    const before = words[at - 1];
    const [flag = ''] = word.split('=');
    return !once.has(flag) && !(before !== undefined && withValue.has(before));
  });
}

function systemdUnit(command: readonly string[], variables: readonly (readonly [string, string])[]): string {
  // Systemd reads % and $ in its own way.
  const quoted = (word: string): string =>
    `"${word
      .replace(/[\\"]/g, String.raw`\$&`)
      .replaceAll('%', '%%')
      .replaceAll('$', '$$$$')}"`;
  return `# Save as ~/.config/systemd/user/lfo-device.service, then:
#   systemctl --user daemon-reload && systemctl --user enable --now lfo-device
#   loginctl enable-linger    # so that it runs while nobody is logged in
[Unit]
Description=LFO device: serves a model of this machine
After=network-online.target

[Service]
${variables.map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}\n`).join('')}ExecStart=${command.map(quoted).join(' ')}
Restart=always
RestartSec=5
# 2: called wrongly, 3: refused or removed by its router.
RestartPreventExitStatus=2 3
TimeoutStopSec=40

[Install]
WantedBy=default.target
`;
}

function launchdAgent(command: readonly string[], variables: readonly (readonly [string, string])[]): string {
  const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const text = (value: string): string => `<string>${escaped(value)}</string>`;
  const environment = variables.map(([name, value]) => `<key>${name}</key>${text(value)}`).join('');
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- Save as ~/Library/LaunchAgents/lfo-device.plist, then: launchctl load -w ~/Library/LaunchAgents/lfo-device.plist -->
<plist version="1.0"><dict>
  <key>Label</key><string>lfo-device</string>
  <key>ProgramArguments</key><array>${command.map(text).join('')}</array>
  <key>EnvironmentVariables</key><dict>${environment}</dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
</dict></plist>
`;
}
