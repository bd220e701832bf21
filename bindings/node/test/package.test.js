'use strict';

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');

const ropeway = require('..');
const { triple } = require('../lib/load');
const { TRIPLES, packAll } = require('../scripts/pack');
const { moduleTypes } = require('../scripts/types');

const root = path.join(__dirname, '..');
const NAMES = [
  'PerMessageDeflate', 'Receiver', 'Sender', 'WebSocket', 'WebSocketServer', 'createWebSocketStream', 'extension', 'subprotocol'
];

// Runs a program for at most a minute, and returns its output.
function run(program, args, cwd) {
  const windows = process.platform === 'win32';
  // The binary is to be found as a user's program finds it.
  const { ROPEWAY_ADDON, ...env } = process.env;
  const done = spawnSync(windows && program === 'npm' ? 'npm.cmd' : program, args, { cwd, env, timeout: 60000, encoding: 'utf8' });
  assert.strictEqual(done.status, 0, `${program} ${args.join(' ')}: ${done.error || done.stderr}`);
  return done.stdout.trim();
}

describe('The package', { timeout: 300000 }, () => {
  let folder;
  let app;

  before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ropeway-package-'));
    app = path.join(folder, 'app');
  });
  after(() => fs.rmSync(folder, { recursive: true, force: true }));

  it('contains what is needed and nothing else', () => {
    const archives = packAll(path.join(folder, 'archives'));
    const [main, binary] = archives.map((archive) => run('tar', ['-tzf', archive]).split(/\r?\n/).sort());
    const lib = fs.readdirSync(path.join(root, 'lib')).map((file) => `lib/${file}`);
    const files = [
      'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'browser.js', 'index.d.mts', 'index.d.ts', 'index.js', 'package.json',
      'wrapper.mjs', ...lib
    ];
    assert.deepStrictEqual(main, files.map((file) => `package/${file}`).sort());
    const few = ['LICENSE-APACHE', 'LICENSE-MIT', 'package.json', `ropeway.${triple()}.node`];
    assert.deepStrictEqual(binary, few.map((file) => `package/${file}`).sort());
  });

  it('depends on the binaries of its own version, and runs nothing when it is installed', () => {
    const [main, binary] = packAll(path.join(folder, 'archives')).map((archive) => {
      return JSON.parse(run('tar', ['-xzOf', archive, 'package/package.json']));
    });
    assert.deepStrictEqual(Object.keys(main.optionalDependencies), TRIPLES.map((name) => `@ropeway/${name}`));
    assert.deepStrictEqual([...new Set(Object.values(main.optionalDependencies))], [main.version]);
    assert.deepStrictEqual([main.scripts, main.dependencies, main.private], [undefined, undefined, undefined]);
    assert.deepStrictEqual([binary.name, binary.version, binary.main], [`@ropeway/${triple()}`, main.version, `ropeway.${triple()}.node`]);
    assert.deepStrictEqual([binary.os, binary.cpu], [[process.platform], [process.arch]]);
  });

  it('says what is missing if there is no binary', () => {
    const bare = path.join(folder, 'bare');
    fs.mkdirSync(bare);
    run('tar', ['-xzf', packAll(path.join(folder, 'archives'))[0], '-C', bare]);
    const program = 'try { require("./package") } catch (error) { console.log(error.code, error.message) }';
    const text = run(process.execPath, ['-e', program], bare);
    for (const part of ['ERR_ROPEWAY_NO_BINARY', triple(), `@ropeway/${triple()}`, 'npm run build']) {
      assert.ok(text.includes(part), `${part} in: ${text}`);
    }
  });

  it('says that it cannot be part of a bundle', () => {
    // As a bundler puts it into another file.
    const bundle = path.join(folder, 'bundle.js');
    fs.writeFileSync(bundle, `${fs.readFileSync(path.join(root, 'lib/load.js'), 'utf8')}; try { load() } catch ({ message }) { console.log(message) }`);
    assert.match(run(process.execPath, [bundle], folder), /no binary for .* part of a bundle .*--external:ropeway/);
  });

  it('takes the place of ws by "overrides", and loads its binary from the package of the platform', () => {
    const [archive, binary] = packAll(path.join(folder, 'archives'));
    const dependent = path.join(app, 'dependent');
    fs.mkdirSync(dependent, { recursive: true });
    // A package that knows of ws alone.
    fs.writeFileSync(path.join(dependent, 'package.json'), JSON.stringify({
      name: 'dependent', version: '1.0.0', dependencies: { ws: '^8.0.0' }
    }));
    fs.writeFileSync(path.join(dependent, 'index.js'), 'module.exports = require("ws");');
    const [one] = packAll(path.join(folder, 'one'), { one: true });
    fs.writeFileSync(path.join(app, 'package.json'), JSON.stringify({
      private: true,
      dependencies: { dependent: 'file:dependent', ropeway: `file:${one}`, ws: `file:${one}` },
      overrides: { ws: '$ws' }
    }));
    run('npm', ['install', '--offline', '--no-audit', '--no-fund', '--install-links'], app);
    const names = run(process.execPath, ['-p', 'Object.keys(require("dependent")).filter((k) => !/^[A-Z]+$/.test(k)).sort().join()'], app);
    assert.strictEqual(names, [...NAMES, 'Server'].sort().join());

    // As npm lays it out where the registry has both.
    const modules = path.join(folder, 'published', 'node_modules');
    for (const [file, name] of [[archive, 'ropeway'], [binary, `@ropeway/${triple()}`]]) {
      const place = path.join(modules, name);
      fs.mkdirSync(place, { recursive: true });
      run('tar', ['-xzf', file, '-C', place, '--strip-components', '1']);
    }
    const program = 'require("ropeway"); Object.keys(require.cache).find((file) => file.endsWith(".node"))';
    const loaded = run(process.execPath, ['-p', program], path.join(folder, 'published'));
    assert.ok(loaded.includes(path.join('@ropeway', triple())), loaded);
  });

  it('gives `import` the names that it gives `require`', () => {
    const program = `
      import all, * as names from 'ropeway';
      import { createRequire } from 'node:module';
      const require = createRequire(import.meta.url);
      console.log(Object.keys(names).sort().join(), all === require('ropeway'), require('ropeway/package.json').name);
      try { require('ropeway/lib/websocket'); } catch (error) { console.log(error.code); }`;
    fs.writeFileSync(path.join(app, 'program.mjs'), program);
    const names = [...NAMES, 'default'].sort().join();
    assert.deepStrictEqual(run(process.execPath, ['program.mjs'], app).split(/\r?\n/), [
      `${names} true ropeway`, 'ERR_PACKAGE_PATH_NOT_EXPORTED'
    ]);
  });

  it('is harmless in a bundle for browsers until it is used', () => {
    const program = 'const R = require("ropeway"); try { new R("ws://x") } catch (error) { console.log(error.message) }';
    assert.match(run(process.execPath, ['-C', 'browser', '-e', program], app), /globalThis\.WebSocket/);
  });

  it('has types for both kinds of modules that say the same', () => {
    const made = fs.readFileSync(path.join(root, 'index.d.mts'), 'utf8');
    assert.ok(made === moduleTypes(), 'index.d.mts is not what index.d.ts gives: node scripts/types.js');
  });

  it('has all of the names in its types', () => {
    const types = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8');
    for (const name of Object.keys(ropeway).filter((key) => !/^[A-Z]+$/.test(key))) {
      assert.match(types, new RegExp(`export \\{[^}]*\\b${name}\\b`), name);
    }
  });
});
