// The addon's binary: which one this process needs, and where it is.
'use strict';

const path = require('node:path');

/** Loads the addon: the file that ROPEWAY_ADDON names, else a build beside index.js, else the package for this platform. */
function load() {
  const name = triple();
  const tried = [];
  const named = process.env.ROPEWAY_ADDON;
  const sources = named ? [path.resolve(named)] : [path.join(__dirname, '..', `ropeway.${name}.node`), `@ropeway/${name}`];
  for (const source of sources) {
    try {
      return require(source);
    } catch (error) {
      // A file that is there and cannot be loaded says more than that the package is missing too.
      if (error.code !== 'MODULE_NOT_FOUND') throw broken(name, source, error);
      tried.push(source);
    }
  }
  throw missing(name, tried);
}

/** The platform's name in npm packages: system, processor, and on Linux the C library. */
function triple() {
  const { platform, arch } = process;
  if (platform === 'linux') return `linux-${arch}-${isGlibc() ? 'gnu' : 'musl'}`;
  if (platform === 'win32') return `win32-${arch}-msvc`;
  return `${platform}-${arch}`;
}

function isGlibc() {
  if (!process.report || typeof process.report.getReport !== 'function') return true;
  // The report would look up the name of every open connection's peer otherwise (Node 22 and later).
  const { excludeNetwork } = process.report;
  if (excludeNetwork === false) process.report.excludeNetwork = true;
  try {
    const report = process.report.getReport();
    const { header } = typeof report === 'string' ? JSON.parse(report) : report;
    return Boolean(header.glibcVersionRuntime);
  } finally {
    if (excludeNetwork === false) process.report.excludeNetwork = false;
  }
}

function missing(name, tried) {
  const error = new Error(`ropeway has no binary for ${name}. ${path.basename(__filename) === OWN_NAME ? atHome(name) : BUNDLED}`);
  error.code = 'ERR_ROPEWAY_NO_BINARY';
  error.tried = tried;
  return error;
}

/** The name of this file. In a bundle it has another. */
const OWN_NAME = 'load.js';

const BUNDLED = 'It is part of a bundle here, and a binary cannot be. Leave ropeway out of the bundle (esbuild: --external:ropeway; ' +
  'webpack: externals), and have it in node_modules where the bundle runs.';

function atHome(name) {
  return (
    `If there is a package @ropeway/${name}, install it: npm installs it by itself unless optional dependencies are left out ` +
    '(--omit=optional), or node_modules was copied from another platform. ' +
    'From a checkout, or where there is no such package, build it with Rust: run `npm run build` in ropeway\'s folder, ' +
    `${path.join(__dirname, '..')}.`
  );
}

function broken(name, source, cause) {
  // Node refuses addons as such: no other binary would help.
  const advice = cause.code !== 'ERR_DLOPEN_DISABLED' ? '' :
    ' ropeway is an addon of Node. Start Node without --no-addons, and where it has --permission (--experimental-permission in Node 20), ' +
    'with --allow-addons too.';
  const error = new Error(`ropeway's binary for ${name} (${source}) cannot be loaded: ${cause.message}${advice}`);
  error.code = 'ERR_ROPEWAY_BROKEN_BINARY';
  error.cause = cause;
  return error;
}

module.exports = { load, triple };
