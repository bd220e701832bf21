// `ropeway connect` against servers of the npm package `ws`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { DEADLINE, connect } from './ropeway.mjs';

const options = { timeout: DEADLINE };

// Runs `client(url)` while a server of `settings` answers each connection with `handler`.
async function against(handler, client, settings = {}) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...settings });
  server.on('connection', (ws, request) => {
    ws.on('error', () => {}); // a fault of the client shows in its exit code
    handler(ws, request);
  });
  await once(server, 'listening');
  try {
    return await client(`ws://127.0.0.1:${server.address().port}/`);
  } finally {
    for (const ws of server.clients) ws.terminate();
    server.close();
  }
}

const echo = (ws) => ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));

test('lines become messages and replies become lines', options, async () => {
  const lines = 'one\nzwei\n🚡\n' + 'long '.repeat(10_000) + '\n';
  for (const perMessageDeflate of [false, true, { serverNoContextTakeover: true, clientNoContextTakeover: true }]) {
    const ended = await against(echo, (url) => connect(url, lines), { perMessageDeflate });
    assert.equal(ended.stdout, lines);
    assert.equal(ended.code, 0, ended.stderr);
  }
});

test('a message in fragments is one line', options, async () => {
  const ended = await against((ws) => {
    ws.send('eine ', { fin: false });
    ws.ping();
    ws.send('Seilbahn', { fin: true });
    ws.close(1000);
  }, connect);
  assert.deepEqual([ended.code, ended.stdout], [0, 'eine Seilbahn\n'], ended.stderr);
});

test('pings are sent as often as asked', options, async () => {
  const ended = await against((ws) => {
    let pings = 0;
    ws.on('ping', () => { if (++pings === 3) ws.close(1000); });
  }, (url) => connect(url, undefined, '--ping', '0.05'));
  assert.equal(ended.code, 0, ended.stderr);
});

test('a refused handshake is 3 with status and body', options, async () => {
  const refuse = { verifyClient: (_, done) => done(false, 401, 'tickets, please') };
  const ended = await against(echo, connect, refuse);
  assert.equal(ended.code, 3, ended.stderr);
  assert.match(ended.stderr, /401/);
  assert.match(ended.stderr, /tickets, please/);
});

test('a protocol error is 4', options, async () => {
  const ended = await against((ws) => ws._socket.write(Buffer.from([0xb1, 0x00])), connect);
  assert.equal(ended.code, 4, ended.stderr);
});

test('another close code is 6', options, async () => {
  const ended = await against((ws) => ws.close(1011, 'out of steam'), connect);
  assert.equal(ended.code, 6, ended.stderr);
  assert.match(ended.stderr, /1011/);
  assert.match(ended.stderr, /out of steam/);
});

test('a connection that is lost without a close frame is no good end', options, async () => {
  const ended = await against((ws) => ws.terminate(), connect);
  assert.notEqual(ended.code, 0, ended.stderr);
});
