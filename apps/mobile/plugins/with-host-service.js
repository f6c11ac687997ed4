// Declares the foreground service and the receiver that starts it after a boot.
const { AndroidConfig, withAndroidManifest } = require('expo/config-plugins');

const service = {
  $: {
    'android:name': 'dev.lfo.host.HostService',
    'android:exported': 'false',
    'android:foregroundServiceType': 'connectedDevice',
    'android:stopWithTask': 'false',
  },
};
const receiver = {
  $: { 'android:name': 'dev.lfo.host.BootReceiver', 'android:exported': 'false' },
  'intent-filter': [{ action: [{ $: { 'android:name': 'android.intent.action.BOOT_COMPLETED' } }] }],
};

const put = (all = [], one) => [...all.filter(({ $ }) => $['android:name'] !== one.$['android:name']), one];

module.exports = (config) =>
  withAndroidManifest(config, (changed) => {
    const manifest = changed.modResults.manifest;
    const app = AndroidConfig.Manifest.getMainApplicationOrThrow(changed.modResults);
    app.service = put(app.service, service);
    app.receiver = put(app.receiver, receiver);
    app.$['android:usesCleartextTraffic'] = 'false';
    // A code can be typed: a phone without a camera may have the app.
    const camera = { $: { 'android:name': 'android.hardware.camera', 'android:required': 'false' } };
    manifest['uses-feature'] = put(manifest['uses-feature'], camera);
    return changed;
  });
