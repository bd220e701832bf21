'use strict';

// Context: what AsyncLocalStorage says in handlers and callbacks. In handlers it is the socket's store, in callbacks that of the call
// which the callback was given to. So it is in npm's ws, with which these tests pass too.

const assert = require('node:assert');
const { AsyncLocalStorage } = require('node:async_hooks');
const http = require('node:http');
const https = require('node:https');
const { test } = require('node:test');

const { certificate } = require('./support/certificate');
const { WebSocket, event, whenClosed, within } = require('./support/peers');

const storage = new AsyncLocalStorage();
const inStore = (name, run) => storage.run(name, run);

// An unmasked frame with an opcode that there is not; each end refuses it.
const BROKEN = Buffer.from([0x8b, 0x00]);

// Each place with its store. An accepted TCP socket has none: the operating system made it. Node makes the TLS socket above it where
// the server listens. A client's socket is made where the client is.
const PLACES = {
  'server connection': 'handleUpgrade',
  'server headers': 'handleUpgrade',
  'server message': ({ isTls }) => (isTls ? 'listen' : undefined),
  'server message, behind an await': ({ isTls }) => (isTls ? 'listen' : undefined),
  'server message event': ({ isTls }) => (isTls ? 'listen' : undefined),
  'server ping': ({ isTls }) => (isTls ? 'listen' : undefined),
  'server pong': ({ isTls }) => (isTls ? 'listen' : undefined),
  'server error': ({ isTls }) => (isTls ? 'listen' : undefined),
  'server close': undefined,
  'client upgrade': 'client',
  'client open': 'client',
  'client message': 'client',
  'client message, behind an await': 'client',
  'client message event': 'client',
  'client ping': 'client',
  'client pong': 'client',
  'client error': 'client',
  'client close': 'client',
  'callback of a text': 'a text',
  'callback of bytes': 'bytes',
  'callback of a Blob': 'a Blob',
  'callback of a ping': 'a ping',
  'callback of a pong': 'a pong',
  'callback of many bytes': 'many bytes'
};

for (const isTls of [false, true]) {
  test(`each place has its store, over ${isTls ? 'TLS' : 'plain TCP'}`, async (t) => {
    const seen = {};
    const note = (place) => (seen[place] ??= new Set()).add(storage.getStore());
    const listening = isTls ? https.createServer(certificate()) : http.createServer();
    const wss = inStore('server', () => new WebSocket.Server({ noServer: true }));
    t.after(() => {
      for (const client of wss.clients) client.terminate();
      listening.close();
    });
    wss.on('headers', () => note('server headers'));
    listening.on('upgrade', (req, socket, head) => {
      inStore('handleUpgrade', () => wss.handleUpgrade(req, socket, head, (websocket) => wss.emit('connection', websocket)));
    });
    await within('the server to listen', new Promise((resolve) => inStore('listen', () => listening.listen(0, '127.0.0.1', resolve))));

    // Twice, as either end may break a rule and the other does not see an error then.
    for (const offender of ['client', 'server']) {
      const accepted = event(wss, 'connection');
      wss.once('connection', (websocket) => {
        note('server connection');
        follow(websocket, 'server', note);
        websocket.on('message', () => inStore('answer', () => {
          websocket.send('an answer');
          websocket.ping();
        }));
      });
      const url = `${isTls ? 'wss' : 'ws'}://127.0.0.1:${listening.address().port}`;
      const client = inStore('client', () => new WebSocket(url, { rejectUnauthorized: false }));
      t.after(() => client.terminate());
      inStore('listener', () => follow(client, 'client', note));
      const [[websocket]] = await Promise.all([accepted, event(client, 'open')]);

      const pongs = Promise.all([event(client, 'pong'), event(websocket, 'pong')]);
      const answered = event(client, 'message');
      client.send('one');
      await answered;
      const sends = {
        'a text': (told) => client.send('text', told),
        bytes: (told) => websocket.send(Buffer.alloc(10), told),
        'a Blob': (told) => client.send(new Blob(['blob']), told),
        'a ping': (told) => client.ping('ping', told),
        'a pong': (told) => websocket.pong('pong', false, told),
        'many bytes': (told) => websocket.send(Buffer.alloc(100_000), told)
      };
      for (const [name, send] of Object.entries(sends)) {
        await within(`the callback of ${name}`, new Promise((resolve) => {
          inStore(name, () => send(() => resolve(note(`callback of ${name}`))));
        }));
      }
      await pongs;

      const [guilty, other] = offender === 'client' ? [client, websocket] : [websocket, client];
      const ends = Promise.all([whenClosed(guilty), whenClosed(other)]);
      inStore('break', () => guilty._socket.write(BROKEN));
      await within('the ends of both', ends);
    }

    const expected = Object.entries(PLACES).map(([place, store]) => [place, typeof store === 'function' ? store({ isTls }) : store]);
    const found = Object.entries(seen).map(([place, stores]) => [place, [...stores]]);
    assert.deepStrictEqual(Object.fromEntries(found), Object.fromEntries(expected.map(([place, store]) => [place, [store]])));
  });
}

test('callbacks that are called together have a context each', async (t) => {
  const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
  t.after(() => wss.close());
  await event(wss, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
  t.after(() => client.terminate());
  await event(client, 'open');
  const names = ['one', 'two', 'three', 'four'];
  const stores = await within('all callbacks', Promise.all(names.map((name) => new Promise((resolve) => {
    inStore(name, () => client.send(name, () => resolve(storage.getStore())));
  }))));
  assert.deepStrictEqual(stores, names);
});

test('sockets whose messages come together have a context each', async (t) => {
  const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
  t.after(() => wss.close());
  await event(wss, 'listening');
  wss.on('connection', (websocket) => websocket.on('message', (data) => websocket.send(data)));
  const names = ['one', 'two', 'three'];
  const clients = names.map((name) => inStore(name, () => new WebSocket(`ws://127.0.0.1:${wss.address().port}`)));
  t.after(() => clients.forEach((client) => client.terminate()));
  await Promise.all(clients.map((client) => event(client, 'open')));
  const stores = clients.map((client) => new Promise((resolve) => client.on('message', () => resolve(storage.getStore()))));
  // All in one turn, so that one delivery has messages of several sockets.
  for (const client of clients) client.send('x');
  assert.deepStrictEqual(await within('all answers', Promise.all(stores)), names);
});

// Notes the store of each handler.
function follow(websocket, side, note) {
  for (const name of ['upgrade', 'open', 'message', 'ping', 'pong', 'error', 'close']) websocket.on(name, () => note(`${side} ${name}`));
  websocket.on('message', async () => {
    await null;
    note(`${side} message, behind an await`);
  });
  websocket.addEventListener('message', () => note(`${side} message event`));
}
