// The examples that have a page, in a real browser. The axum ones share the port of an HTTP app with a WebSocket server, which sends a
// text every three seconds; the page shows each text and replies. EXAMPLES names the directory of the built examples.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { before, test } from 'node:test';
import WebSocket from 'ws';
import { start } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';

const options = { timeout: DEADLINE };
let browser;

before(async () => { browser = await launch(); });

test('chat: what one tab says is shown in both, as text', options, async () => {
  const server = await start(join(process.env.EXAMPLES, 'chat'), ['127.0.0.1:0']);
  try {
    const one = await visit(browser, server.http);
    await one.page.locator('li', { hasText: 'is here' }).waitFor();
    const two = await visit(browser, server.http);
    await one.page.locator('li', { hasText: 'is here' }).nth(1).waitFor();
    await two.page.locator('input').fill('<b>grüß</b> 🚡');
    await two.page.locator('input').press('Enter');
    for (const { page } of [one, two]) {
      await page.locator('li', { hasText: /^guest \d+: <b>grüß<\/b> 🚡$/ }).waitFor();
    }
    await one.screenshot('example-chat');
    await two.leave();
    await one.page.locator('li', { hasText: 'has left' }).waitFor();
    assert.deepEqual([...one.faults, ...two.faults], []);
    await one.leave();
  } finally {
    server.kill();
  }
});

for (const name of ['axum_listeners', 'axum_pull']) {
  const example = () => start(join(process.env.EXAMPLES, name), ['127.0.0.1:0']);

  test(`${name}: the page opens, hears the server every three seconds, and replies`, options, async () => {
    const server = await example();
    try {
      const { page, faults, screenshot, leave } = await visit(browser, server.http);
      const shown = (kind, text) => page.locator(`#log .${kind}`, { hasText: text });
      await shown('note', 'open').waitFor();
      await server.printed(/^client 127\.0\.0\.1$/);
      // Two texts and two replies: a timer that ticks only once would pass with one.
      await shown('in', 'hello from the server, lobby').nth(1).waitFor();
      await shown('out', 'got: hello from the server, lobby').nth(1).waitFor();
      await server.printed(/^message: got: hello from the server, lobby$/);
      await screenshot(`example-${name}`);
      assert.ok(!server.lines.some((line) => line.startsWith('closed')), 'it is open until the visitor leaves');
      await leave();
      await server.printed(/^closed/);
      assert.ok(!server.lines.some((line) => line.startsWith('error')), server.lines.join('\n'));
      assert.deepEqual(faults, []);
    } finally {
      server.kill();
    }
  });

  test(`${name}: what a client sends is printed, and not obeyed by the terminal`, options, async () => {
    const server = await example();
    try {
      const ws = new WebSocket(server.ws('/ws/lobby'));
      await once(ws, 'open');
      ws.send('\u001b[2Jone\nmessage: two\u202e\u200b grüß 🚡');
      await server.printed(/^message: \\u\{1b\}\[2Jone\\nmessage: two\\u\{202e\}\\u\{200b\} grüß 🚡$/);
      ws.close(4000, '\u001b[2J\u202e');
      await server.printed(/^closed: 4000 \(private use\) "\\u\{1b\}\[2J\\u\{202e\}"$/);
    } finally {
      server.kill();
    }
  });

  test(`${name}: behind a proxy the client is the one that the proxy names`, options, async () => {
    const server = await example();
    try {
      const ws = new WebSocket(server.ws('/ws/lobby'), { headers: { 'X-Forwarded-For': '203.0.113.7' } });
      await once(ws, 'open');
      await server.printed(/^client 203\.0\.113\.7$/);
      ws.terminate();
      await server.printed(/^closed/);
    } finally {
      server.kill();
    }
  });
}
