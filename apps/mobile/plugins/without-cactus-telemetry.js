// Cactus posts data of the device to a database of its maker when it starts, whatever its options say, unless the
// environment forbids it.
const { withMainApplication } = require('expo/config-plugins');

const line = '    android.system.Os.setenv("CACTUS_NO_CLOUD_TELE", "1", true)';

module.exports = (config) =>
  withMainApplication(config, (changed) => {
    const { contents } = changed.modResults;
    if (contents.includes('CACTUS_NO_CLOUD_TELE')) return changed;
    if (!/super\.onCreate\(\)/.test(contents)) throw new Error('MainApplication.onCreate was not found.');
    changed.modResults.contents = contents.replace('super.onCreate()', `super.onCreate()\n${line}`);
    return changed;
  });
