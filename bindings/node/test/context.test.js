'use strict';

// Context: what AsyncLocalStorage says in handlers and callbacks. It is that of the socket, as in npm's ws.

const assert = require('node:assert');
const { AsyncLocalStorage } = require('node:async_hooks');
const { test } = require('node:test');

const { WebSocket, event, serve, whenClosed, within } = require('./support/peers');

test('each client has the context in which it was made', async (t) => {
  const storage = new AsyncLocalStorage();
  const server = await serve(t);
  server.on('connection', (websocket) => websocket.on('message', (data) => websocket.send(`re: ${data}`)));
  const seen = [];
  const note = (name, text) => seen.push(`${name}: ${text} in ${storage.getStore()}`);
  const clients = [];
  for (const name of ['one', 'two', 'three']) {
    storage.run(name, () => {
      const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
      clients.push(client);
      client.on('open', () => note(name, 'open'));
      client.on('message', (data) => {
        note(name, data);
        client.send('from a handler', () => {
          note(name, 'callback');
          client.close();
        });
      });
      client.on('close', () => note(name, 'close'));
    });
  }
  await Promise.all(clients.map((client) => event(client, 'open')));
  // All in one turn, so that one delivery has messages of several sockets.
  for (const [index, client] of clients.entries()) client.send(String(index));
  await within('the end of all', Promise.all(clients.map(whenClosed)));
  for (const [index, name] of ['one', 'two', 'three'].entries()) {
    const own = seen.filter((line) => line.startsWith(`${name}:`));
    assert.deepStrictEqual(
      [...new Set(own)].sort(),
      ['open', `re: ${index}`, 'callback', 'close', 're: from a handler']
        .map((text) => `${name}: ${text} in ${name}`)
        .filter((line) => own.includes(line) || !line.includes('from a handler'))
        .sort()
    );
  }
});

test('the context of a sender is not that of the receiver', async (t) => {
  const storage = new AsyncLocalStorage();
  const server = await serve(t);
  const client = storage.run('client', () => new WebSocket(`ws://127.0.0.1:${server.address().port}`));
  const [[websocket]] = await Promise.all([event(server, 'connection'), event(client, 'open')]);
  const stores = [];
  const both = within('both messages', new Promise((resolve) => {
    for (const one of [websocket, client]) {
      one.on('message', () => {
        if (stores.push(storage.getStore()) === 2) resolve();
      });
    }
  }));
  storage.run('sender', () => {
    client.send('x');
    websocket.send('y');
  });
  await both;
  assert.deepStrictEqual(stores.sort(), ['client', undefined]);
});
