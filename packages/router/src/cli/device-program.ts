import type { Command } from 'commander';
import type { DevicesContext, PairOptions, SetOptions } from './devices.ts';

/** Runs a command with a client of the running router. */
export type WithDevices = (command: Command, run: (context: DevicesContext) => Promise<number>) => Promise<void>;

interface PairFlags {
  readonly expires?: string;
  readonly wait?: boolean;
  readonly dial?: string;
  readonly code?: string;
}

/** Writes the device host to a file. */
export type Pack = (command: Command, out: string) => Promise<void>;

/** Adds `devices pair|list|rename|drain|resume|load|unload|remove|set|pack`. */
export function addDevices(program: Command, withDevices: WithDevices, pack: Pack): void {
  const devices = program
    .command('devices')
    .description('phones, laptops and boards that answer requests')
    .addHelpText('after', '\nExample:\n  lfo devices pair');
  const command = (name: string, description: string, example: string): Command =>
    devices
      .command(name)
      .description(description)
      .option('--url <address>', 'address of the running LFO (default: the one this configuration describes)')
      .option('--json', 'JSON for scripts')
      .addHelpText('after', `\nExample:\n  ${example}`);

  command(
    'pair',
    'show a code for a device that dials, or dial one that shows a code',
    'lfo devices pair --expires 10m',
  )
    .argument('[uri]', 'link of a device that waits to be dialled')
    .option('--dial <host:port>', 'address of a device that waits to be dialled')
    .option('--code <code>', 'the code it shows')
    .option('--expires <time>', 'such as 90s or 10m (default: 5m)')
    .option('--wait', 'wait for the device, also with --json')
    .action(async (uri: string | undefined, flags: PairFlags, self: Command) => {
      const { pairDevice } = await import('./devices.ts');
      const { dial, code, expires } = flags;
      const options: PairOptions = {
        wait: flags.wait === true,
        ...(uri === undefined ? {} : { uri }),
        ...(dial === undefined ? {} : { dial }),
        ...(code === undefined ? {} : { code }),
        ...(expires === undefined ? {} : { expires }),
      };
      await withDevices(self, (context) => pairDevice(options, context));
    });
  command('list', 'every paired device', 'lfo devices list --json').action(async (_flags, self: Command) => {
    const { listDevices } = await import('./devices.ts');
    await withDevices(self, listDevices);
  });
  command('rename', 'call a device something else', 'lfo devices rename pixel-8 kitchen')
    .argument('<device>', 'its name, id or the beginning of either')
    .argument('<name>', 'up to 32 of a-z, 0-9 and hyphens')
    .action(async (device: string, name: string, _flags, self: Command) => {
      const { changeDevice } = await import('./devices.ts');
      await withDevices(self, (context) => changeDevice(device, { name }, context));
    });
  command('set', 'where a device is dialled, and how it is woken', 'lfo devices set kitchen --dial 192.168.1.20:4870')
    .argument('<device>', 'its name, id or the beginning of either')
    .option('--dial <host:port>', 'its address')
    .option(
      '--wake-mac <mac>',
      'wake it by this hardware address when nothing else is up; auto: as it says itself, off: never',
    )
    .option('--wake-broadcast <address>', 'where the packet that wakes it is sent (default: 255.255.255.255)')
    .action(async (device: string, flags: SetOptions, self: Command) => {
      const { changeDevice, settingsOf } = await import('./devices.ts');
      const change = settingsOf(flags);
      await withDevices(self, (context) => changeDevice(device, change, context));
    });
  devices
    .command('pack')
    .description('write the device host as a file that npm installs on a machine without LFO')
    .option('--out <file>', 'where to', 'lfo-device.tgz')
    .option('--json', 'JSON for scripts')
    .addHelpText('after', '\nExample:\n  lfo devices pack --out /media/stick/lfo-device.tgz')
    .action(async ({ out }: { readonly out: string }, self: Command) => pack(self, out));
  const actions = {
    drain: 'let it finish what it has and give it nothing new',
    resume: 'use it again',
    load: 'have it read its model into memory',
    unload: 'have it give the memory of its model back, once what runs has ended',
    remove: 'end its key: it must be paired again',
  } as const;
  for (const action of ['drain', 'resume', 'load', 'unload', 'remove'] as const) {
    command(action, actions[action], `lfo devices ${action} kitchen`)
      .argument('<device>', 'its name, id or the beginning of either')
      .action(async (device: string, _flags, self: Command) => {
        const { actOnDevice } = await import('./devices.ts');
        await withDevices(self, (context) => actOnDevice(device, action, context));
      });
  }
}
