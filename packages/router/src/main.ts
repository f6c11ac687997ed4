import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCli } from './cli/program.ts';
import type { Terminal } from './cli/terminal.ts';
import { holdProcess, systemClock } from './core/clock.ts';
import { isJsonObject, parseJson } from './core/json.ts';

/** The process as a terminal for commands. */
function terminalOf({ env, stdin, stdout, stderr, version }: NodeJS.Process): Terminal {
  return {
    env,
    cwd: process.cwd(),
    nodeVersion: version,
    input: stdin,
    output: stdout,
    errors: stderr,
    isInteractive: stdout.isTTY,
    onSignal(signal, run) {
      process.on(signal, run);
      return () => process.off(signal, run);
    },
    onCrash: (run) => void process.on('uncaughtException', run),
    exitNow: (code) => process.exit(code),
    // An exit would wait for the threads, and one may sit in a locked database.
    endNow: () => void process.kill(process.pid, 'SIGKILL'),
  };
}

function ownVersion(): string {
  const manifest = parseJson(readFileSync(fileURLToPath(new URL('../package.json', import.meta.url)), 'utf8'));
  return isJsonObject(manifest) && typeof manifest['version'] === 'string' ? manifest['version'] : '0.0.0';
}

const lingerMs = 1000;

// A reader that has seen enough (`lfo … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
// Off a terminal only JSON lines are printed: Node's own warnings are for those who run LFO by hand.
if (!process.stdout.isTTY) process.removeAllListeners('warning');

if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(`LFO needs Node 24; this is ${process.version}. Run "npm ci" and start it with npm or npx.\n`);
  process.exitCode = 1;
} else {
  const release = holdProcess();
  process.exitCode = await runCli(process.argv.slice(2), {
    terminal: terminalOf(process),
    clock: systemClock,
    random: Math.random,
    version: ownVersion(),
    machine: `${process.platform}-${process.arch}`,
    startApp: async (options) => {
      const [{ startApp }, { withoutSecrets }] = await Promise.all([
        import('./app/app.ts'),
        import('./config/environment.ts'),
      ]);
      return startApp(options, {
        execPath: process.execPath,
        childEnv: withoutSecrets(process.env),
        random: Math.random,
        build: { version: ownVersion(), node: process.version },
      });
    },
    openArchive: async (config) => (await import('./records/open-archive.ts')).openArchive(config),
    devicePackage: async () => {
      const { withoutSecrets } = await import('./config/environment.ts');
      const { devicePackage } = await import('./app/device-package.ts');
      return devicePackage({ execPath: process.execPath, env: withoutSecrets(process.env) });
    },
    openKeyStore: async (config) => (await import('./app/command-keys.ts')).openCommandKeys(config, systemClock),
  });
  release();
  // Done, but a question to a silent name server cannot be taken back and would hold the process for many seconds.
  setTimeout(() => process.exit(), lingerMs).unref();
}
