'use strict';

// Processes: workers of a cluster behind one port, and sockets that are sent to a child.

const assert = require('node:assert');
const { fork } = require('node:child_process');
const { once } = require('node:events');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');

const { WebSocket, event, serve, whenClosed, within } = require('./support/peers');

// The most connections that are tried until each worker has one. Without a policy the operating system chooses the worker.
const MOST = 200;

for (const policy of ['round robin', 'none']) {
  test(`two workers share a port, and one of them is killed; scheduling: ${policy}`, async (t) => {
    const primary = start(t, 'cluster.js', policy);
    const [{ port }] = await within('both workers to listen', once(primary, 'message'));
    const clients = new Map();
    for (let i = 0; i < MOST && clients.size < 2; i++) {
      const client = await open(t, port);
      clients.set(await workerOf(client), client);
    }
    assert.strictEqual(clients.size, 2);

    const [[doomed, its], [other, others]] = clients;
    for (let i = 0; i < 5; i++) assert.deepStrictEqual([await workerOf(its), await workerOf(others)], [doomed, other]);
    const closed = event(its, 'close');
    const killed = within('the worker to be gone', once(primary, 'message'));
    primary.send({ kill: doomed });
    assert.strictEqual((await closed)[0], 1006);
    assert.deepStrictEqual((await killed)[0], { killed: doomed });

    assert.strictEqual(await workerOf(others), other);
    for (let i = 0; i < 3; i++) assert.strictEqual(await workerOf(await open(t, port)), other);
  });
}

test('a child upgrades a socket that it was sent', async (t) => {
  const child = start(t, 'taker.js');
  const server = http.createServer();
  server.on('upgrade', ({ method, url, headers }, socket, head) => {
    child.send({ req: { method, url, headers }, head: head.toString('base64') }, socket);
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await event(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  t.after(() => client.terminate());
  const heard = [];
  const all = within('all messages', new Promise((resolve) => client.on('message', (data, isBinary) => {
    heard.push(isBinary ? data.length : String(data));
    if (heard.length === 3) resolve();
  })));
  await event(client, 'open');
  client.send('a text');
  client.send(Buffer.alloc(200_000));
  await all;
  assert.deepStrictEqual(heard, ['from the child', 'a text', 200_000]);
  const told = within('the close in the child', once(child, 'message'));
  client.close(3000);
  await whenClosed(client);
  assert.deepStrictEqual((await told)[0], { closed: 3000 });
});

// Node takes the descriptor from the socket that was sent, and closes it here. So the WebSocket ends, and the descriptor is read by
// the child alone.
test('the socket of an open WebSocket goes to a child, and the WebSocket is closed', async (t) => {
  const child = start(t, 'taker.js');
  const server = await serve(t);
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  t.after(() => client.terminate());
  const [[websocket]] = await Promise.all([event(server, 'connection'), event(client, 'open')]);
  const message = event(websocket, 'message');
  client.send('here');
  assert.strictEqual(String((await message)[0]), 'here');

  const taken = within('the child to have it', once(child, 'message'));
  child.send({}, websocket._socket);
  assert.deepStrictEqual((await taken)[0], { taken: true });
  const data = within('the data in the child', once(child, 'message'));
  client._socket.write('there');
  assert.deepStrictEqual((await data)[0], { data: Buffer.from('there').toString('base64') });

  const closed = event(websocket, 'close');
  const error = await within('the callback', new Promise((resolve) => websocket.send('too late', resolve)));
  assert.ok(error instanceof Error);
  assert.strictEqual((await closed)[0], 1006);
});

function start(t, program, ...args) {
  const child = fork(path.join(__dirname, 'support', program), args);
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function open(t, port) {
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  t.after(() => client.terminate());
  await event(client, 'open');
  return client;
}

// The id of the process that answers.
async function workerOf(client) {
  const answer = event(client, 'message');
  client.send('text');
  const [, pid, text] = /^(\d+) (.*)$/.exec((await answer)[0]);
  assert.strictEqual(text, 'text');
  return Number(pid);
}
