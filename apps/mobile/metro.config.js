const { join } = require('node:path');
const { getDefaultConfig } = require('expo/metro-config');
const { isShared, packages, sources } = require('./shared-packages.js');

const config = getDefaultConfig(__dirname);

config.watchFolders = [join(packages, 'protocol'), join(packages, 'device-core')];
// Fifty languages of error messages that nobody reads: half a megabyte of bytecode.
const zodLocales = /[\\/]node_modules[\\/]zod[\\/]v4[\\/]/;

config.resolver.resolveRequest = (context, name, platform) => {
  if (/\/locales\/index\.c?js$/.test(name) && zodLocales.test(context.originModulePath)) return { type: 'empty' };
  const file = sources[name];
  if (file !== undefined) return { type: 'sourceFile', filePath: file };
  if (!isShared(context.originModulePath) || name.startsWith('.'))
    return context.resolveRequest(context, name, platform);
  return context.resolveRequest({ ...context, originModulePath: join(__dirname, 'index.ts') }, name, platform);
};

module.exports = config;
