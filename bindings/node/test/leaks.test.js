'use strict';

// Short connections, thousands of them, that end in each way: afterwards the server holds what it held before. CONNECTIONS=100000 is the
// long run.

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');

const WebSocket = require('ws');
const { within } = require('./support/peers');

const CONNECTIONS = Number(process.env.CONNECTIONS ?? 6000);
const AT_ONCE = 50;

// The heap and the allocator's pools go on growing for a while: 20 to 45 MiB were seen, however many connections came.
const GROWTH = 128 << 20;
const DEADLINE = 600_000;

// A message below and one above the size from which a slab is not used.
const MESSAGES = [Buffer.alloc(100, 'a'), Buffer.alloc(40_000, 'b')];

// How a client goes, after an echo.
const ENDS = [
  (ws) => ws.close(1000),
  (ws) => ws.terminate(),
  (ws) => ws._socket.resetAndDestroy(),
  // A violation: a frame without a mask.
  (ws) => ws._socket.write(Buffer.from([0x81, 0x00])),
  // Bytes of a frame that never ends.
  (ws) => ws._socket.end(Buffer.from([0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4, 5]))
];

test('thousands of connections come and go, and leave nothing', { timeout: DEADLINE }, async (t) => {
  const server = fork(path.join(__dirname, 'support/short-server.js'));
  try {
    const [{ port }] = await within('the port', once(server, 'message'));
    // The first fill caches, slabs and the heap.
    await comeAndGo(port, 1000);
    const before = await looked(server);
    await comeAndGo(port, CONNECTIONS);
    const after = await looked(server);
    assert.deepEqual([after.clients, after.sockets, after.descriptors], [0, 0, before.descriptors]);
    const left = after.rss - before.rss;
    t.diagnostic(`${(left / CONNECTIONS).toFixed(0)} bytes a connection stay, of ${CONNECTIONS}; the server has ${after.rss >> 20} MiB`);
    assert.ok(left < GROWTH + CONNECTIONS * 1024, `${left >> 20} MiB stay of ${CONNECTIONS} connections`);
  } finally {
    server.kill('SIGKILL');
  }
});

async function comeAndGo(port, count) {
  let at = 0;
  const go = async () => {
    while (at < count) await visit(port, at++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, go));
}

function visit(port, number) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: number % 2 === 0 });
  ws.on('error', () => {});
  ws.on('open', () => ws.send(MESSAGES[number % MESSAGES.length]));
  ws.on('message', () => ENDS[number % ENDS.length](ws));
  return within(`the end of connection ${number}`, once(ws, 'close'), 60_000);
}

// The memory and descriptors that the server holds, once it has seen all of them go.
async function looked(server) {
  for (;;) {
    const told = within('a look at the server', once(server, 'message'));
    server.send('look');
    const [seen] = await told;
    if (seen.clients === 0) return seen;
  }
}
