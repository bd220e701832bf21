// Packs what is published: the package, and the package with the binary for this platform.
// The manifest of the checkout is private, because it lacks the packages with the binaries, which there are none of before a release.
//
//   node scripts/pack.js FOLDER               both, as they are published
//   node scripts/pack.js FOLDER --one         one package with the binary in it, to be tried without a registry
//   node scripts/pack.js FOLDER --triple T    the binary of another platform (ropeway.T.node beside index.js)
//
// The binary is the one beside index.js, or for this platform the one that ROPEWAY_ADDON names.
'use strict';

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { triple } = require('../lib/load');

const root = path.join(__dirname, '..');
const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));

// The platforms that there are binaries for.
const TRIPLES = [
  'darwin-arm64', 'darwin-x64', 'linux-arm64-gnu', 'linux-arm64-musl', 'linux-x64-gnu', 'linux-x64-musl', 'win32-x64-msvc'
];

/**
 * Packs into a folder.
 *
 * @returns {string[]} The paths of the archives: the package, and the binary's.
 */
function packAll(folder, { one = false, name = triple() } = {}) {
  fs.mkdirSync(folder, { recursive: true });
  const binary = `ropeway.${name}.node`;
  // Scripts are for a checkout: without them npm has nothing to ask about when it installs the package.
  const { devDependencies, private: isPrivate, scripts, ...published } = manifest;
  if (one) return [pack(folder, { ...published, files: [...published.files, binary] })];
  const optionalDependencies = Object.fromEntries(TRIPLES.map((each) => [`@ropeway/${each}`, manifest.version]));
  return [pack(folder, { ...published, optionalDependencies }), pack(folder, platform(name, binary))];
}

/** The manifest of the package with a platform's binary. npm installs it only where the three fields fit. */
function platform(name, binary) {
  const [system, processor, library] = name.split('-');
  const libc = { gnu: ['glibc'], musl: ['musl'] }[library];
  return {
    name: `@ropeway/${name}`,
    version: manifest.version,
    description: `The binary of ropeway for ${name}`,
    license: manifest.license,
    main: binary,
    files: [binary, 'LICENSE-APACHE', 'LICENSE-MIT'],
    engines: manifest.engines,
    os: [system],
    cpu: [processor],
    ...(libc && { libc })
  };
}

// From a folder of its own, so that the manifest may differ from the checkout's.
function pack(folder, json) {
  const stage = fs.mkdtempSync(path.join(os.tmpdir(), 'ropeway-pack-'));
  try {
    fs.writeFileSync(path.join(stage, 'package.json'), `${JSON.stringify(json, null, 2)}\n`);
    const files = [...json.files, ...(json.name === manifest.name ? ['README.md'] : [])].map((file) => file.replace('/*.js', ''));
    for (const file of files) copy(source(file), path.join(stage, file));
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', path.resolve(folder)];
    const done = spawnSync(npm, args, { cwd: stage, shell: process.platform === 'win32' });
    if (done.status !== 0) throw new Error(`npm pack failed for ${json.name}: ${done.stderr || done.error}`);
    const [{ filename }] = JSON.parse(done.stdout);
    // Some releases of npm name the archive of a scoped package with its slash here.
    return path.join(path.resolve(folder), filename.replace('@', '').replace('/', '-'));
  } finally {
    fs.rmSync(stage, { recursive: true, force: true });
  }
}

function source(file) {
  const { ROPEWAY_ADDON } = process.env;
  return ROPEWAY_ADDON && file === `ropeway.${triple()}.node` ? ROPEWAY_ADDON : path.join(root, file);
}

function copy(from, to) {
  if (!fs.existsSync(from)) throw new Error(`${from} is missing. If it is the binary: npm run build`);
  fs.cpSync(from, to, { recursive: true });
}

function option(args, name) {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
}

if (require.main === module) {
  const args = process.argv.slice(2);
  if (args.length === 0 || args[0].startsWith('--')) {
    console.error('Usage: node scripts/pack.js FOLDER [--one] [--triple TRIPLE]');
    process.exitCode = 2;
  } else {
    for (const file of packAll(args[0], { one: args.includes('--one'), name: option(args, '--triple') })) console.log(file);
  }
}

module.exports = { TRIPLES, packAll };
