// The axum examples in a real browser: an HTTP app whose port the WebSocket server shares, which sends a text every three
// seconds, and whose page shows each and replies. EXAMPLES names the directory of the built examples.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { start } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';

let browser;

before(async () => { browser = await launch(); });
after(() => browser?.close());

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return String(port);
}

for (const example of ['axum_listeners', 'axum_pull']) {
  test(`${example} sends a text every three seconds, and hears each reply`, { timeout: DEADLINE }, async () => {
    const server = await start(join(process.env.EXAMPLES, example), [], { PORT: await freePort() });
    try {
      const heard = [];
      const said = [];
      const { page, faults, leave } = await visit(browser, server.http, {}, (page) => {
        page.on('websocket', (ws) => {
          ws.on('framereceived', ({ payload }) => heard.push(payload));
          ws.on('framesent', ({ payload }) => said.push(payload));
        });
      });
      await page.getByText(/open/i).first().waitFor();
      while (said.length < 2) await page.waitForTimeout(100);
      assert.ok(heard.length >= 2, 'it replies to what it heard');
      for (const message of heard.slice(0, 2)) await page.getByText(message).first().waitFor();
      await server.printed(/127\.0\.0\.1/);
      for (const reply of said.slice(0, 2)) await server.printed(new RegExp(RegExp.escape?.(reply) ?? reply.replace(/\W/g, '\\$&')));
      await leave();
      await server.printed(/close/i);
      assert.deepEqual(faults, []);
    } finally {
      server.kill();
    }
  });
}
