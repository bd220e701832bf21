'use strict';

// Checks index.d.ts and index.d.mts with TypeScript, which is installed here if it is not there: node test/types/run.js

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const tsc = path.join(__dirname, 'node_modules', 'typescript', 'bin', 'tsc');
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

function run(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: __dirname, stdio: 'inherit', timeout: 5 * 60 * 1000 });
  if (error) console.error(`${program}: ${error.message}`);
  return status === 0;
}

const ready = fs.existsSync(tsc) || run(npm, ['install', '--no-audit', '--no-fund']);
// By the package's name, so that its `exports` decide which types are taken.
const link = path.join(__dirname, 'node_modules', 'ropeway');
if (ready && !fs.existsSync(link)) fs.symlinkSync(path.join(__dirname, '..', '..'), link, 'junction');
const right = ready && run(process.execPath, [tsc, '--project', 'tsconfig.json']);
console.log(right ? 'The types are right.' : 'The types are wrong: the messages are above.');
process.exitCode = right ? 0 : 1;
