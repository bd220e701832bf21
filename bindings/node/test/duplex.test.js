'use strict';

// createWebSocketStream: messages as chunks, both ends, and errors.

const assert = require('node:assert');
const { test } = require('node:test');

const { WebSocket, event, masked, openRaw, pair, plain, serve, whenClosed, within } = require('./support/peers');

const { createWebSocketStream } = WebSocket;

test('messages are chunks, chunks are messages, and the end closes', async (t) => {
  const { websocket, client } = await pair(t);
  const duplex = createWebSocketStream(websocket, { decodeStrings: false });
  const messages = [];
  client.on('message', (data, isBinary) => messages.push(`${data} ${isBinary}`));
  client.send('in');
  assert.deepStrictEqual((await event(duplex, 'data'))[0], Buffer.from('in'));
  duplex.write('text');
  duplex.write(Buffer.from('bytes'));
  duplex.end();
  await Promise.all([whenClosed(client), event(duplex, 'close')]);
  assert.deepStrictEqual(messages, ['text false', 'bytes true']);
  assert.deepStrictEqual([duplex.destroyed, duplex.readableEnded, duplex.writableFinished], [true, true, true]);
});

test('in readable object mode texts are strings, and no message is lost or joined', async (t) => {
  const { websocket, client } = await pair(t);
  const duplex = createWebSocketStream(client, { readableObjectMode: true });
  for (const data of ['a', '', Buffer.from('b')]) websocket.send(data);
  websocket.close();
  const seen = [];
  for await (const chunk of duplex) {
    seen.push(chunk);
    if (seen.length === 3) break;
  }
  assert.deepStrictEqual(seen, ['a', '', Buffer.from('b')]);
});

test('a reader that does not read pauses the WebSocket', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const duplex = createWebSocketStream(websocket, { highWaterMark: 10 });
  const paused = new Promise((resolve) => {
    websocket.on('message', () => {
      if (websocket.isPaused) resolve();
    });
  });
  raw.write(masked(0x82, '0123456789'));
  await within('the pause', paused);
  duplex.resume();
  assert.strictEqual(await within('the next', new Promise((resolve) => {
    duplex.on('data', (chunk) => {
      if (String(chunk) === 'more') resolve('more');
    });
    raw.write(masked(0x82, 'more'));
  })), 'more');
  assert.strictEqual(websocket.isPaused, false);
});

test('writes wait for open', async (t) => {
  const server = await serve(t);
  const message = new Promise((resolve) => {
    server.on('connection', (websocket) => websocket.on('message', resolve));
  });
  const websocket = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  const duplex = createWebSocketStream(websocket);
  duplex.write('early');
  duplex.end();
  duplex.resume();
  assert.strictEqual(String(await within('the message', message)), 'early');
  await event(duplex, 'close');
});

test('destroy terminates, with the error of the program', async (t) => {
  const { websocket, client } = await pair(t);
  const duplex = createWebSocketStream(client);
  const seen = [];
  duplex.on('error', (error) => seen.push(error.message));
  client.on('close', (code) => seen.push(code));
  duplex.destroy(new Error('mine'));
  await Promise.all([event(duplex, 'close'), whenClosed(websocket)]);
  assert.deepStrictEqual(seen.sort(), [1006, 'mine']);
});

test('an error of the WebSocket destroys the stream, and the peer is still told', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const duplex = createWebSocketStream(websocket);
  const failed = event(duplex, 'error');
  raw.write(masked(0x83));
  const [error] = await failed;
  assert.strictEqual(error.code, 'WS_ERR_INVALID_OPCODE');
  assert.strictEqual(duplex.destroyed, true);
  assert.deepStrictEqual(await raw.rest(), plain(0x88, Buffer.from([0x03, 0xea])));
});

test('a write that comes too late is an error of the stream', async (t) => {
  const { websocket, client } = await pair(t);
  const duplex = createWebSocketStream(client);
  client.once('close', () => duplex.write('late'));
  const failed = event(duplex, 'error');
  websocket.close();
  assert.strictEqual((await failed)[0].message, 'WebSocket is not open: readyState 3 (CLOSED)');
});

// In ws only a chunk that is inflated on another thread takes longer than the call.
const skip = process.env.ROPEWAY_SUBJECT;
test('_receiver says that a large chunk was enough, and the socket waits for its drain', { skip }, async (t) => {
  const { websocket } = await openRaw(t, await serve(t));
  const seen = [];
  const receiver = websocket._receiver;
  const drained = event(receiver, 'drain').then(() => seen.push(`drain ${websocket._socket.isPaused()}`));
  websocket.once('message', () => {
    seen.push(`message ${receiver._writableState.needDrain}`);
    websocket.pause();
    websocket.resume();
    seen.push(`resumed ${websocket.isPaused} ${websocket._socket.isPaused()}`);
  });
  // Two messages in one chunk, which is larger than the high-water mark of every Node.
  websocket._socket.push(Buffer.concat([masked(0x82, Buffer.alloc(40000)), masked(0x82, Buffer.alloc(40000))]));
  await drained;
  assert.deepStrictEqual(seen, ['message true', 'resumed false true', 'drain false']);
  assert.strictEqual(receiver._writableState.needDrain, false);
});
