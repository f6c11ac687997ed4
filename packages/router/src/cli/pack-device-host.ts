import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { codeOf } from '../core/error-code.ts';
import { CliError, exitCodes, printLine, type Terminal } from './terminal.ts';

/** Writes the device host to a file, and says how a machine without LFO installs it. */
export async function packDeviceHost(
  terminal: Terminal,
  devicePackage: () => Promise<Buffer>,
  { out, json }: { readonly out: string; readonly json: boolean },
): Promise<number> {
  const file = resolve(terminal.cwd, out);
  const bytes = await devicePackage();
  try {
    writeFileSync(file, bytes);
  } catch (error) {
    const code = codeOf(error);
    throw new CliError(`${file} cannot be written${code === undefined ? '' : ` (${code})`}: name another with --out.`);
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (json) printLine(terminal, JSON.stringify({ file, bytes: bytes.length, sha256 }));
  else {
    printLine(terminal, `${file} (${(bytes.length / 1e6).toFixed(1)} MB)`);
    printLine(terminal, `SHA-256  ${sha256}`);
    printLine(terminal, 'On the other machine, with Node 24 and npm:');
    printLine(terminal, '  npm install --prefix ~/.lfo-device ./lfo-device.tgz');
    printLine(terminal, "  ~/.lfo-device/node_modules/.bin/lfo-device --pair 'what lfo devices pair shows here'");
  }
  return exitCodes.done;
}
