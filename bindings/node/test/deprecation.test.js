'use strict';

// Deprecation: the package calls nothing of Node that is deprecated, or will be. Where that is done, `--throw-deprecation` ends the program.

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');

// Those that call most of Node: sockets and their handles, requests, TLS, streams, zlib, async hooks.
const FILES = ['client', 'context', 'descriptor', 'duplex', 'permessage-deflate', 'receiver', 'sender', 'server', 'websocket'];

const FLAGS = '--throw-deprecation --pending-deprecation';

test('the tests pass where deprecated calls throw', { timeout: 180_000 }, async () => {
  const files = FILES.map((name) => path.join(__dirname, `${name}.test.js`));
  const { code, output } = await run(['--test', ...files]);
  assert.strictEqual(code, 0, output);
  // The flags do what they are for.
  const { code: mark } = await run(['-e', 'Buffer(1)']);
  assert.notStrictEqual(mark, 0);
});

function run(args) {
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  return new Promise((resolve) => {
    const options = { env: { ...env, NODE_OPTIONS: FLAGS }, timeout: 170_000, maxBuffer: 1 << 26 };
    execFile(process.execPath, args, options, (error, stdout, stderr) => resolve({ code: error ? error.code : 0, output: stdout + stderr }));
  });
}
