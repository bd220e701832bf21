'use strict';

// Registries of modules: a program that loads the package anew shares what an environment has once.

const assert = require('node:assert');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { within } = require('./support/peers');

const FOLDER = path.join(__dirname, '..');

/** Loads the package anew. Without `isWhole` the addon stays loaded, as in test runners. */
function loadAnew(isWhole) {
  for (const name of Object.keys(require.cache)) {
    const isAddon = name.endsWith('.node');
    if (isAddon ? isWhole : name.startsWith(path.join(FOLDER, 'lib')) || name === path.join(FOLDER, 'index.js')) delete require.cache[name];
  }
  return require('..');
}

/** A server and a client that are connected. */
async function connect(WebSocket) {
  const server = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
  await within('the server to listen', once(server, 'listening'));
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  const [accepted] = await within('the connection', once(server, 'connection'));
  if (client.readyState !== WebSocket.OPEN) await within('the client to open', once(client, 'open'));
  return { server, client, accepted };
}

async function speak({ client, accepted }, text) {
  const heard = once(accepted, 'message');
  client.send(text);
  assert.strictEqual(`${(await within('the message', heard))[0]}`, text);
}

async function end({ server, client, accepted }) {
  const closed = [once(client, 'close'), once(accepted, 'close')];
  client.close();
  await within('both ends to close', Promise.all(closed));
  await within('the server to close', new Promise((resolve) => server.close(resolve)));
}

function held() {
  const descriptors = process.platform === 'linux' ? fs.readdirSync('/proc/self/fd').length : 0;
  return { descriptors, listeners: process.listenerCount('exit') };
}

/** Connects and ends in a new registry, and returns what the process holds behind that. */
async function heldBehind(isWhole) {
  const connection = await connect(loadAnew(isWhole));
  await speak(connection, 'hello');
  await end(connection);
  await new Promise(setImmediate);
  return held();
}

for (const isWhole of [false, true]) {
  test(`${isWhole ? 'all' : 'all but the addon'} loaded anew many times holds no more`, async () => {
    const first = await heldBehind(isWhole);
    for (let round = 0; round < 15; round++) assert.deepStrictEqual(await heldBehind(isWhole), first, `round ${round}`);
  });
}

test('connections of several registries live side by side', async () => {
  const connections = [];
  for (const isWhole of [false, true, false]) connections.push(await connect(loadAnew(isWhole)));
  for (const [index, connection] of connections.entries()) await speak(connection, `hello ${index}`);
  await Promise.all(connections.map((connection, index) => speak(connection, `together ${index}`)));
  for (const connection of connections) await end(connection);
});

test('a registry whose process is a copy, as test runners make it, has the same table', async () => {
  const vm = require('node:vm');
  const first = await connect(require('..'));
  // The modules of the package with a `process` that lacks what the first has kept there.
  const copy = Object.create(process);
  for (const symbol of Object.getOwnPropertySymbols(process)) {
    if (String(symbol).startsWith('Symbol(ropeway ')) Object.defineProperty(copy, symbol, { value: undefined, writable: true });
  }
  const modules = new Map();
  const load = (file) => {
    if (!modules.has(file)) {
      const module = { exports: {} };
      modules.set(file, module);
      const wrapped = vm.compileFunction(fs.readFileSync(file, 'utf8'), ['exports', 'require', 'module', '__filename', '__dirname', 'process'], { filename: file });
      const request = (name) => {
        if (!name.startsWith('.') && !path.isAbsolute(name)) return require(name);
        const found = require.resolve(path.resolve(path.dirname(file), name));
        return found.endsWith('.js') ? load(found) : require(found);
      };
      wrapped(module.exports, request, module, file, path.dirname(file), copy);
    }
    return modules.get(file).exports;
  };
  const second = await connect(load(path.join(FOLDER, 'index.js')));
  await speak(second, 'from the second');
  await speak(first, 'from the first');
  await end(first);
  await speak(second, 'and again');
  await end(second);
});
