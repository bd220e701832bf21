// The addon, built with cargo and copied to where lib/load.js looks first: `ropeway.<triple>.node` beside index.js.
//
//   node scripts/build.js                 as it is released
//   node scripts/build.js --profile NAME  with another of the workspace's profiles, such as `conformance`
//   node scripts/build.js --target RUST   for another machine
'use strict';

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { triple } = require('../lib/load');

const root = path.join(__dirname, '..');

function build(args) {
  const profile = option(args, '--profile') || 'release';
  const target = option(args, '--target');
  const cargo = ['build', '--package', 'ropeway-node', '--profile', profile, '--message-format', 'json-render-diagnostics'];
  if (target) cargo.push('--target', target);
  const done = spawnSync(process.env.CARGO || 'cargo', cargo, {
    cwd: root, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28
  });
  if (done.error) {
    fail(`cargo could not be started (${done.error.message}). Install Rust from https://rustup.rs, or a release of ropeway.`);
  }
  if (done.status !== 0) fail('cargo could not build the addon: its messages are above.');
  const library = libraryOf(done.stdout.toString());
  if (!library) fail('cargo built no library: is this the checkout of ropeway?');
  const copy = path.join(root, `ropeway.${option(args, '--triple') || triple()}.node`);
  // A process may have the old one open: so that is replaced, not written to.
  const fresh = `${copy}.${process.pid}`;
  fs.copyFileSync(library, fresh);
  fs.renameSync(fresh, copy);
  console.log(`${path.relative(process.cwd(), copy)} (${fs.statSync(copy).size >> 10} KiB, profile ${profile})`);
}

/** The file of the addon, as cargo's messages name it. */
function libraryOf(messages) {
  for (const line of messages.split('\n')) {
    if (!line.startsWith('{')) continue;
    const message = JSON.parse(line);
    if (message.reason === 'compiler-artifact' && message.target.name === 'ropeway_node') {
      return message.filenames.find((name) => /\.(so|dylib|dll)$/.test(name));
    }
  }
  return undefined;
}

function option(args, name) {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
}

function fail(message) {
  console.error(`ropeway: ${message}`);
  process.exit(1);
}

build(process.argv.slice(2));
