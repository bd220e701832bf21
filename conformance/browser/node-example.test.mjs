// The Node example in a real browser, twice: with npm's ws, and with ropeway in its place. Both must print and show the same.
// EXAMPLE names the folder of the example, with its packages installed. The npm package is what it requires as `ropeway`.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { start } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';

const options = { timeout: DEADLINE };
const EXAMPLE = process.env.EXAMPLE;
const LINE = `require('ropeway')`;
const WS = createRequire(import.meta.url).resolve('ws');

let browser;
const folders = [];

before(async () => { browser = await launch(); });
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

// A copy of the example in which one line is another.
async function copyWith(line) {
  const folder = await mkdtemp(join(tmpdir(), 'ropeway-example-'));
  folders.push(folder);
  for (const name of ['app.js', 'public']) await cp(join(EXAMPLE, name), join(folder, name), { recursive: true });
  await symlink(join(EXAMPLE, 'node_modules'), join(folder, 'node_modules'));
  const socket = await readFile(join(EXAMPLE, 'socket.js'), 'utf8');
  assert.equal(socket.split(LINE).length, 2, 'the package is required in one place');
  await writeFile(join(folder, 'socket.js'), socket.replace(LINE, line));
  return folder;
}

// Visits the page, waits for two texts and two replies, leaves, sends a violation; returns what was printed and shown.
async function tried(line, name) {
  const folder = await copyWith(line);
  const server = await start('node', [join(folder, 'app.js')], { PORT: '0' });
  const faults = [];
  try {
    const visitor = await visit(browser, server.http);
    const shown = (kind, text) => visitor.page.locator(`#log .${kind}`, { hasText: text });
    await shown('note', 'open').waitFor();
    await shown('in', 'hello from the server').nth(1).waitFor();
    await shown('out', 'got: hello from the server').nth(1).waitFor();
    const page = (await visitor.page.locator('#log li').allTextContents()).slice(0, 5);
    const state = await visitor.page.locator('#state').textContent();
    await visitor.screenshot(name);
    await visitor.leave();
    await server.printed(/^closed 1001$/);
    faults.push(...visitor.faults);

    // A client that a proxy names, and that breaks the protocol: an unmasked frame.
    const client = new WebSocket(server.ws('/'), { headers: { 'X-Forwarded-For': '203.0.113.7' } });
    const code = await new Promise((resolve, reject) => {
      client.once('open', () => client._socket.write(Buffer.from([0x81, 0x00])));
      client.once('error', reject);
      client.once('close', resolve);
    });
    await server.printed(/^closed 1006$/);
    return { printed: server.lines.slice(1).filter((line, at) => at < 3 || !line.startsWith('message')), page, state, code, faults };
  } finally {
    server.kill();
  }
}

test('the same is printed and shown with ws and with ropeway', { timeout: 2 * DEADLINE }, async () => {
  const ws = await tried(`require(${JSON.stringify(WS)})`, 'example-node-ws');
  const ropeway = await tried(LINE, 'example-node-ropeway');
  assert.deepEqual(ws.page, ['open', 'hello from the server', 'got: hello from the server', 'hello from the server',
    'got: hello from the server']);
  assert.deepEqual(ws.faults, []);
  assert.deepEqual(ropeway, ws);
});

test('a plain request is Express’s, and it knows no other page', options, async () => {
  const server = await start('node', [join(EXAMPLE, 'app.js')], { PORT: '0' });
  try {
    assert.equal((await fetch(server.http)).status, 200);
    assert.equal((await fetch(`${server.http}none`)).status, 404);
  } finally {
    server.kill();
  }
});
