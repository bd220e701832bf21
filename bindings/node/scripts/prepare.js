// npm runs this in a checkout (`npm install`, or an install from git): it builds the addon, if there are sources and cargo.
// Without cargo nothing is built and nothing fails: `require` then says what is missing.
'use strict';

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');

function prepare() {
  if (!fs.existsSync(path.join(root, 'Cargo.toml'))) return 0;
  const cargo = process.env.CARGO || 'cargo';
  if (spawnSync(cargo, ['--version']).error) {
    console.error(`ropeway: there is no ${cargo}, so the addon is not built. Install Rust from https://rustup.rs and run: npm run build`);
    return 0;
  }
  return spawnSync(process.execPath, [path.join(__dirname, 'build.js'), ...process.argv.slice(2)], { stdio: 'inherit' }).status;
}

process.exitCode = prepare();
