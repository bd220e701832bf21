'use strict';

// Programs of packages that depend on ws, unmodified, with ws and with ropeway in its place, on each of its lanes; what they print has
// to be the same.
//
//   node test/dependents/run.js [NAME...]

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { packAll } = require('../../scripts/pack');

const INSTALLED = path.join(__dirname, 'installed');
const PROGRAMS = path.join(__dirname, 'programs');
const WS = '8.23.0';
const LANES = ['fd', 'stream'];

const INSTALL_MS = 9 * 60 * 1000;
const PROGRAM_MS = 60 * 1000;

main(process.argv.slice(2));

function main(names) {
  const [archive] = packAll(path.join(INSTALLED, 'archive'), { one: true });
  const [ws, ropeway] = [install('ws', WS), install('ropeway', `file:${archive}`)];
  const programs = fs.readdirSync(PROGRAMS).filter((file) => names.length === 0 || names.includes(path.parse(file).name));
  let different = 0;
  for (const program of programs) {
    const expected = run(ws, program);
    const found = LANES.map((lane) => [lane, run(ropeway, program, lane)]);
    const others = found.filter(([, { ended, text }]) => !expected.ended || !ended || text !== expected.text);
    if (others.length > 0) different++;
    const lines = expected.text.split('\n').length - 1;
    console.log(`${others.length === 0 ? 'same     ' : 'DIFFERENT'} ${path.parse(program).name}: ${lines} lines`);
    if (others.length > 0) console.log(`--- with ws\n${expected.text}${expected.errors}`);
    for (const [lane, { text, errors }] of others) console.log(`--- with ropeway, lane ${lane}\n${text}${errors}---`);
  }
  console.log(`${programs.length - different} of ${programs.length} print the same with ws ${WS} and with ropeway`);
  process.exitCode = different === 0 && programs.length > 0 ? 0 : 1;
}

// A folder with all dependents, which all get the same ws.
function install(name, version) {
  const folder = path.join(INSTALLED, name);
  const manifest = JSON.stringify({
    private: true,
    dependencies: { ...JSON.parse(fs.readFileSync(path.join(__dirname, 'dependencies.json'))), ws: version },
    overrides: { ws: '$ws' }
  }, null, 2);
  fs.mkdirSync(folder, { recursive: true });
  const stamp = path.join(folder, 'package.json');
  if (!fs.existsSync(path.join(folder, 'node_modules')) || fs.readFileSync(stamp, 'utf8') !== manifest) {
    fs.writeFileSync(stamp, manifest);
    // The versions of all that they need. npm replaces ws alone, where another is asked for.
    fs.copyFileSync(path.join(__dirname, 'package-lock.json'), path.join(folder, 'package-lock.json'));
    npm(folder, 'install', '--omit=optional');
  } else if (name === 'ropeway') {
    // The dependents are there; ropeway may have changed since.
    fs.rmSync(path.join(folder, 'node_modules', 'ws'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'node_modules', 'ws'));
    const unpacked = spawnSync('tar', ['-xzf', version.slice('file:'.length), '-C', path.join(folder, 'node_modules', 'ws'), '--strip-components', '1']);
    if (unpacked.status !== 0) throw new Error(`The archive could not be unpacked: ${unpacked.stderr || unpacked.error}`);
  }
  for (const copy of copies(path.join(folder, 'node_modules'))) {
    const found = JSON.parse(fs.readFileSync(path.join(copy, 'package.json'))).name;
    if (found !== name) throw new Error(`${copy} is ${found} and not ${name}`);
  }
  fs.cpSync(PROGRAMS, folder, { recursive: true });
  return folder;
}

function npm(folder, ...args) {
  const program = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const done = spawnSync(program, [...args, '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder, stdio: ['ignore', 'inherit', 'inherit'], timeout: INSTALL_MS, shell: process.platform === 'win32'
  });
  if (done.status !== 0) throw new Error(`npm ${args[0]} failed in ${folder}: its messages are above`);
}

// Every folder `ws` in a folder `node_modules`.
function copies(modules) {
  const found = [];
  for (const entry of fs.readdirSync(modules, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = path.join(modules, entry.name);
    if (entry.name.startsWith('@')) found.push(...copies(folder));
    if (entry.name === 'ws' && path.basename(modules) === 'node_modules') found.push(folder);
    const inner = path.join(folder, 'node_modules');
    if (fs.existsSync(inner)) found.push(...copies(inner));
  }
  return found;
}

function run(folder, program, lane = '') {
  // The binary is to be found as a user's program finds it.
  const { ROPEWAY_ADDON, ...env } = process.env;
  const done = spawnSync(process.execPath, [program], {
    cwd: folder, env: { ...env, ROPEWAY_LANE: lane }, timeout: PROGRAM_MS, encoding: 'utf8'
  });
  return { ended: done.status === 0, text: done.stdout, errors: `${done.signal || ''}${done.stderr}` };
}
