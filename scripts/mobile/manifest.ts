/** Asserts the merged Android manifest of the app, as Expo's plugins make it: no permission more, no backup, no HTTP. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Element {
  readonly $?: Readonly<Record<string, string>>;
  readonly [child: string]: unknown;
}

/** A plugin of Expo that changes the generated MainApplication. */
type Plugin = (config: object) => {
  readonly mods: {
    readonly android: {
      readonly mainApplication: (props: object) => Promise<{ readonly modResults: { readonly contents: string } }>;
    };
  };
};

const app = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'apps', 'mobile');
const printed = execFileSync(
  process.execPath,
  [join(app, 'node_modules/expo/bin/cli'), 'config', '--type', 'introspect', '--json'],
  {
    cwd: app,
    encoding: 'utf8',
    env: { ...process.env, CI: '1', EXPO_NO_TELEMETRY: '1', EXPO_OFFLINE: '1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  },
);
const config = JSON.parse(printed);
const manifest: Element = config._internal.modResults.android.manifest.manifest;

const elements = (parent: Element | undefined, name: string): readonly Element[] => {
  const found = parent?.[name];
  return Array.isArray(found) ? found : [];
};
const nameOf = ({ $ }: Element): string => $?.['android:name'] ?? '';

const permissions = elements(manifest, 'uses-permission');
const kept = permissions.filter(({ $ }) => $?.['tools:node'] !== 'remove').map(nameOf);
const removed = permissions.filter(({ $ }) => $?.['tools:node'] === 'remove').map(nameOf);
const android = (...names: readonly string[]): readonly string[] => names.map((name) => `android.permission.${name}`);
assert.deepEqual(
  kept.toSorted(),
  android(
    'ACCESS_NETWORK_STATE',
    'ACCESS_WIFI_STATE',
    'CAMERA',
    'CHANGE_NETWORK_STATE',
    'CHANGE_WIFI_MULTICAST_STATE',
    'FOREGROUND_SERVICE',
    'FOREGROUND_SERVICE_CONNECTED_DEVICE',
    'INTERNET',
    'POST_NOTIFICATIONS',
    'RECEIVE_BOOT_COMPLETED',
    'REQUEST_IGNORE_BATTERY_OPTIMIZATIONS',
    'WAKE_LOCK',
  ),
);
assert.deepEqual(
  removed.toSorted(),
  android(
    'FOREGROUND_SERVICE_DATA_SYNC',
    'FOREGROUND_SERVICE_SPECIAL_USE',
    'READ_EXTERNAL_STORAGE',
    'RECORD_AUDIO',
    'SYSTEM_ALERT_WINDOW',
    'VIBRATE',
    'WRITE_EXTERNAL_STORAGE',
  ),
);

const [application] = elements(manifest, 'application');
assert.equal(application?.$?.['android:allowBackup'], 'false');
assert.equal(application?.$?.['android:usesCleartextTraffic'], 'false');
const services = elements(application, 'service');
assert.deepEqual(
  services.map((service) => [
    nameOf(service),
    service.$?.['android:foregroundServiceType'],
    service.$?.['android:exported'],
  ]),
  [['dev.lfo.host.HostService', 'connectedDevice', 'false']],
);
const receivers = elements(application, 'receiver');
assert.deepEqual(
  receivers.map((receiver) => [nameOf(receiver), receiver.$?.['android:exported']]),
  [['dev.lfo.host.BootReceiver', 'false']],
);
const camera = elements(manifest, 'uses-feature').find((feature) => nameOf(feature) === 'android.hardware.camera');
assert.equal(camera?.$?.['android:required'], 'false');

// What the generated MainApplication says to Cactus before any JavaScript runs.
const load = createRequire(join(app, 'package.json'));
const plugin: Plugin = load(join(app, 'plugins', 'without-cactus-telemetry.js'));
const { mods } = plugin({ name: 'x', slug: 'x' });
const { modResults } = await mods.android.mainApplication({
  modRequest: {},
  modResults: { contents: 'override fun onCreate() {\n    super.onCreate()\n}', language: 'kt', path: '' },
});
assert.match(
  modResults.contents,
  /super\.onCreate\(\)\n\s*android\.system\.Os\.setenv\("CACTUS_NO_CLOUD_TELE", "1", true\)/,
);

process.stdout.write(
  `The manifest has ${kept.length} permissions, ${removed.length} removed, one service, no backup, no clear text.\n`,
);
