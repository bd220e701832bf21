// Two servers that share a broker, each with a visitor of its chat, in a real browser: the page tells the truth while the broker
// or a server is gone. ROPEWAY_NATS_SERVER names nats-server.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run, serve, serveOn } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';
import { entry, say, state, texts } from './page.mjs';

const options = { timeout: DEADLINE };
const data = mkdtempSync(join(tmpdir(), 'ropeway-nodes-'));
let browser;

before(async () => { browser = await launch(); });
after(() => rmSync(data, { recursive: true, force: true }));

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/* Starts nats-server, and waits until it accepts connections. */
async function broker(port) {
  const program = process.env.ROPEWAY_NATS_SERVER ?? 'nats-server';
  const child = run(program, ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', data], { stdio: 'ignore' });
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    if (await once(socket, 'connect').then(() => true, () => false)) { socket.destroy(); break; }
    assert.equal(child.exitCode, null, 'nats-server runs');
    await new Promise((resolve) => setTimeout(resolve, 10)); // a server says nothing when it begins to listen
  }
  return async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
}

async function chat(server, name) {
  const visitor = await visit(browser, server.http);
  await visitor.page.check('[name=path][value="/chat"]', { force: true });
  await visitor.page.fill('#name', name);
  await visitor.page.click('#connect');
  await state(visitor.page, 'OPEN');
  await entry(visitor.page, 'aside', `You are ${name} @`);
  return visitor;
}

/* Speaks until the other hears it: the servers are then subscribed at the broker. */
async function meet(one, other) {
  for (let number = 1; ; number++) {
    await say(one, `hello ${number}`);
    const heard = await other.locator('#log .entry.bubble', { hasText: `hello ${number}` }).waitFor({ timeout: 500 }).then(() => true, () => false);
    if (heard) return;
  }
}

test('visitors of two servers chat, and are told when the broker is gone and when it is back', options, async () => {
  const port = await freePort();
  const engine = ['--engine', `nats://127.0.0.1:${port}`];
  let kill = await broker(port);
  const servers = await Promise.all([serve(...engine), serve(...engine)]);
  const [ada, bob] = [await chat(servers[0], 'Ada'), await chat(servers[1], 'Bob')];
  await meet(ada.page, bob.page);
  await meet(bob.page, ada.page);
  await say(ada.page, 'hello from the other server 🚡');
  await entry(bob.page, 'bubble:not(.mine)', 'hello from the other server');

  await kill();
  for (const { page } of [ada, bob]) await entry(page, 'aside', 'The broker is down');
  await say(ada.page, 'does anybody hear me?');
  await entry(ada.page, 'bubble.mine', 'does anybody hear me?');
  await ada.screenshot('nodes-down-ada');
  await bob.screenshot('nodes-down-bob');

  kill = await broker(port);
  for (const { page } of [ada, bob]) {
    await entry(page, 'aside', 'The broker is back');
    const told = await texts(page, 'aside');
    const gap = told.findIndex((text) => text.includes('may be missing here'));
    assert.ok(gap > told.findIndex((text) => text.includes('is down')), told.join('\n'));
    assert.ok(gap < told.findIndex((text) => text.includes('is back')), told.join('\n'));
  }
  await say(bob.page, 'here we are again');
  await entry(ada.page, 'bubble:not(.mine)', 'here we are again');
  await ada.screenshot('nodes-back-ada');
  await bob.screenshot('nodes-back-bob');
  for (const { faults, leave } of [ada, bob]) {
    assert.deepEqual(faults, []);
    await leave();
  }
  await kill();
});

test('with history a tab whose server was gone gets what it missed, once and in order', options, async () => {
  const port = await freePort();
  const args = ['--engine', `nats://127.0.0.1:${port}`, '--history', '50'];
  const kill = await broker(port);
  let near = await serve(...args);
  const far = await serve(...args);
  const [ada, bob] = [await chat(near, 'Ada'), await chat(far, 'Bob')];
  await meet(bob.page, ada.page);
  near.kill();
  await entry(ada.page, 'sys', '1006');
  for (const text of ['one', 'two', 'three']) {
    await say(bob.page, text);
    await entry(bob.page, 'bubble.mine', text);
  }
  near = await serveOn(near.host, ...args);
  await entry(ada.page, 'sys', 'have come since this tab was last connected. None is missing.');
  const heard = (await texts(ada.page, 'bubble')).map((text) => text.split('\n').at(-1)).filter((text) => /(one|two|three)$/.test(text));
  assert.deepEqual(heard.map((text) => text.replace(/^.* /, '')), ['one', 'two', 'three']);
  await ada.screenshot('nodes-recovered');
  await ada.leave();
  await bob.leave();
  await kill();
});
