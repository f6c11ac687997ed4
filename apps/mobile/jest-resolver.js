const { isShared, sources } = require('./shared-packages.js');

/** Jest's resolver with the packages of this repository put in, as for Metro. */
module.exports = (name, options) => {
  if (sources[name] !== undefined) return sources[name];
  if (!isShared(options.basedir) || name.startsWith('.')) return options.defaultResolver(name, options);
  return options.defaultResolver(name, { ...options, basedir: __dirname });
};
