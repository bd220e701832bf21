'use strict';

// WebSocketServer: its options, its ways to be had, its clients and its end.

const assert = require('node:assert');
const http = require('node:http');
const { PassThrough, Duplex } = require('node:stream');
const { test } = require('node:test');

const { REQUEST, WebSocket, connectRaw, event, masked, openRaw, pair, plain, serve, whenClosed, within } = require('./support/peers');

const closed = (server) => within("the server's close", new Promise((resolve) => server.close(resolve)));

test('one and only one of port, server and noServer', () => {
  const server = http.createServer();
  for (const options of [undefined, {}, { port: 0, server }, { port: 0, noServer: true }, { server, noServer: true }]) {
    assert.throws(() => new WebSocket.Server(options), {
      name: 'TypeError',
      message: 'One and only one of the "port", "server", or "noServer" options must be specified'
    });
  }
});

test('the defaults of all options', () => {
  const { options } = new WebSocket.WebSocketServer({ noServer: true, perMessageDeflate: true, verifyClient: undefined });
  const names = ['maxPayload', 'maxFragments', 'maxBufferedChunks', 'maxPendingAutoPongs', 'closeTimeout', 'autoPong'];
  assert.deepStrictEqual(
    [...names.map((name) => options[name]), options.allowSynchronousEvents, options.skipUTF8Validation],
    [100 * 1024 * 1024, 16384, 262144, 60, 30000, true, true, false]
  );
  assert.deepStrictEqual(options.perMessageDeflate, {});
  assert.strictEqual(options.WebSocket, WebSocket);
});

test('address: of a port, null once closed, and an error with noServer', async (t) => {
  const server = await serve(t);
  assert.strictEqual(server.address().address, '127.0.0.1');
  await closed(server);
  assert.strictEqual(server.address(), null);
  assert.throws(() => new WebSocket.Server({ noServer: true }).address(), {
    message: 'The server is operating in "noServer" mode'
  });
});

test('clients has each connection from connection to close', async (t) => {
  const { server, websocket, client } = await pair(t);
  assert.deepStrictEqual([...server.clients], [websocket]);
  client.close();
  await whenClosed(websocket);
  assert.strictEqual(server.clients.size, 0);
  assert.strictEqual('clients' in (await serve(t, { clientTracking: false })), false);
});

test('close of a server with a port waits for its connections, and closes none', async (t) => {
  const { server, websocket, client } = await pair(t);
  let isClosed = false;
  const done = closed(server).then(() => (isClosed = true));
  client.send('still there');
  assert.strictEqual(String((await event(websocket, 'message'))[0]), 'still there');
  assert.strictEqual(isClosed, false);
  client.close();
  await done;
  const error = await closed(server);
  assert.strictEqual(error.message, 'The server is not running');
});

test('close of a server on another server leaves that one alone', async (t) => {
  const server = http.createServer();
  t.after(() => server.close());
  const wss = new WebSocket.Server({ server });
  const listening = event(wss, 'listening');
  server.listen(0, '127.0.0.1');
  await listening;
  const { raw, websocket } = await openRaw(t, Object.assign(wss, {}));
  const done = closed(wss);
  raw.write(masked(0x88));
  await whenClosed(websocket);
  await done;
  assert.ok(server.listening);
  assert.deepStrictEqual(
    ['upgrade', 'listening', 'error'].map((name) => server.listenerCount(name)),
    [0, server.listenerCount('listening'), 0]
  );
});

test('an error of the HTTP server is one of the WebSocketServer', async (t) => {
  const { port } = (await serve(t)).address();
  const second = new WebSocket.Server({ port, host: '127.0.0.1' });
  assert.strictEqual((await event(second, 'error'))[0].code, 'EADDRINUSE');
});

test('handleUpgrade takes any Duplex, and a socket only once', async (t) => {
  const server = http.createServer();
  t.after(() => server.close());
  const wss = new WebSocket.Server({ noServer: true });
  const upgraded = event(server, 'upgrade');
  await event(server.listen(0, '127.0.0.1'), 'listening');
  const raw = await connectRaw(t, server);
  raw.write([...REQUEST, '', ''].join('\r\n'));
  const [req, socket, head] = await upgraded;

  const inwards = new PassThrough();
  const outwards = new PassThrough();
  const duplex = Duplex.from({ readable: inwards, writable: outwards });
  socket.pipe(inwards);
  outwards.pipe(socket);
  const websocket = await within('the upgrade', new Promise((resolve) => wss.handleUpgrade(req, duplex, head, resolve)));
  await raw.head();
  const message = event(websocket, 'message');
  raw.write(masked(0x81, 'through'));
  assert.strictEqual(String((await message)[0]), 'through');
  assert.throws(() => wss.handleUpgrade(req, duplex, head, () => assert.fail()), {
    message: 'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration'
  });
  websocket.terminate();
});

test('the class of the connections is an option, and its open comes before connection', async (t) => {
  const order = [];
  class Own extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('open', () => order.push('open'));
    }
  }
  const server = await serve(t, { WebSocket: Own });
  server.on('connection', () => order.push('connection'));
  const { websocket } = await openRaw(t, server);
  assert.ok(websocket instanceof Own);
  assert.deepStrictEqual(order, ['open', 'connection']);
  assert.strictEqual(websocket.url, undefined);
});

test('a class that extends WebSocket has all names but those of ws for itself', async (t) => {
  const names = ['_onMessage', '_onPing', '_lane', '_options', '_queue', '_wire', '_send', '_outbox', '_keepalive', '_closing'];
  class Own extends WebSocket {}
  for (const name of names) Own.prototype[name] = () => assert.fail(name);
  const server = await serve(t, { WebSocket: Own });
  const { raw, websocket } = await openRaw(t, server);
  for (const name of names) assert.ok(!Object.hasOwn(websocket, name), name);
  websocket.on('message', (data) => websocket.send(`re: ${data}`));
  raw.write(masked(0x89), masked(0x81, 'x'), masked(0x88));
  assert.deepStrictEqual(await raw.rest(), Buffer.concat([plain(0x8a), plain(0x81, 're: x'), plain(0x88)]));
  await whenClosed(websocket);
});

test('shouldHandle may be overridden', async (t) => {
  const server = await serve(t, { path: '/x' });
  assert.deepStrictEqual(['/x', '/x?y', '/', '/x/'].map((url) => server.shouldHandle({ url })), [true, true, false, false]);
  server.shouldHandle = () => true;
  await openRaw(t, server);
});
