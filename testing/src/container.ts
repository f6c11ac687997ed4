import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, cpSync, existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Why nothing can be run in a root of its own here, or `false`: for the `skip` option of a test. */
export const withoutContainers: string | false =
  process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/setpriv')
    ? false
    : 'needs root on Linux, and the programs unshare, chroot and setpriv';

/** A command in a root of its own. */
export interface ContainerCommand {
  /** Holds the image's own files; what of the system they need is mounted beside them. */
  readonly root: string;
  readonly workdir: string;
  /** Written to as `/data`; given to the user. */
  readonly dataFolder: string;
  readonly env: Readonly<Record<string, string>>;
  /** `uid:gid` */
  readonly user: string;
  /** `node` is the one that runs the tests. */
  readonly command: readonly string[];
}

const systemFolders = ['bin', 'etc', 'lib', 'lib64', 'sbin', 'usr'];

/** Makes a root ready for `runContained`: folders to mount upon, and the Node that runs the tests. */
export function prepareRoot(root: string): void {
  for (const name of [...systemFolders, 'proc', 'dev', 'tmp', 'data', 'node']) {
    const [inside, outside] = [join(root, name), join('/', name)];
    if (existsSync(inside)) continue;
    if (existsSync(outside) && lstatSync(outside).isSymbolicLink()) symlinkSync(readlinkSync(outside), inside);
    else mkdirSync(inside);
  }
  cpSync(process.execPath, join(root, 'node', 'node'));
}

/** Mounts everything in a namespace that ends with the command; nothing of it is seen outside. */
const mounting = `set -e
root=$1; data=$2; shift 2
mount --bind "$root" "$root"
for name in ${systemFolders.join(' ')} proc dev; do
  if [ -d "/$name" ] && [ ! -L "/$name" ]; then mount --rbind "/$name" "$root/$name"; fi
done
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
mount --bind "$data" "$root/data"
mount -o remount,ro,bind "$root"
exec chroot "$root" "$@"`;

/**
 * Runs a command as a container engine would with `--read-only --tmpfs /tmp --cap-drop ALL --security-opt
 * no-new-privileges`: a root that cannot be written, a user without rights. The network is the machine's own. The
 * process is the command itself, so that a signal reaches it.
 */
export function runContained({ root, workdir, dataFolder, env, user, command }: ContainerCommand): ChildProcess {
  const [uid = '', gid = ''] = user.split(':');
  chownSync(dataFolder, Number(uid), Number(gid));
  const rights = ['--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all'];
  const variables = Object.entries({ PATH: '/node:/usr/bin:/bin', ...env }).map(([name, value]) => `${name}=${value}`);
  const mounts = ['--mount', '--propagation', 'private', 'sh', '-c', mounting, 'sh'];
  const inside = ['env', '-i', '-C', workdir, ...variables];
  return spawn(
    'unshare',
    [...mounts, root, dataFolder, 'setpriv', `--reuid=${uid}`, `--regid=${gid}`, ...rights, ...inside, ...command],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
}
