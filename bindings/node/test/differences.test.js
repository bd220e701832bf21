'use strict';

// Differences from npm's ws that are meant: one test for each row of the table in README.md that no other test has.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { Writable } = require('node:stream');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { WebSocket, event, masked, openRaw, pair, plain, serve, within } = require('./support/peers');

const isOurs = !process.env.ROPEWAY_SUBJECT;
const SUBJECT = isOurs ? path.join(__dirname, '..') : require.resolve(process.env.ROPEWAY_SUBJECT);
const NODE = Number(process.versions.node.split('.')[0]);
const hasDescriptors = process.platform === 'linux' && process.env.ROPEWAY_LANE !== 'stream';
const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate';

const error = (websocket) => event(websocket, 'error').then(([{ code }]) => code);

test('invalid UTF-8 is refused in the fragment that has it, and not when the message is complete', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const code = error(websocket);
  raw.write(masked(0x01, Buffer.from([0x61, 0xff])));
  assert.strictEqual(await code, 'WS_ERR_INVALID_UTF8');
});

test('of two rules that one frame breaks the mask is named first', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const code = error(websocket);
  raw.write(Buffer.from([0x88, 0x01]));
  assert.strictEqual(await code, 'WS_ERR_EXPECTED_MASK');
});

test('compressed data that stops inside a block is refused, the empty one too', { skip: !isOurs }, async (t) => {
  const whole = zlib.deflateRawSync('a text that is cut off', { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  for (const payload of [Buffer.alloc(0), whole.subarray(0, 8)]) {
    const { raw, websocket } = await openRaw(t, await serve(t, { perMessageDeflate: true }), DEFLATE);
    const code = error(websocket);
    raw.write(masked(0xc1, payload));
    assert.strictEqual(await code, 'Z_DATA_ERROR');
  }
});

test('corrupt compressed data has a text of its own, and zlib\'s code and number', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { perMessageDeflate: true }), DEFLATE);
  const failed = event(websocket, 'error');
  // A block of the type that there is not.
  raw.write(masked(0xc1, Buffer.from([0x07])));
  const [{ code, errno, message, name }] = await failed;
  const text = isOurs ? 'invalid deflate data' : 'invalid block type';
  assert.deepStrictEqual([code, errno, message, name], ['Z_DATA_ERROR', -3, text, 'Error']);
});

test('a WebSocket gives a message in fragments as one fragment', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  websocket.binaryType = 'fragments';
  const message = event(websocket, 'message');
  raw.write(masked(0x02, 'ab'), masked(0x80, 'c'));
  assert.deepStrictEqual((await message)[0].map(String), ['abc']);
});

test('without a limit of messages 4 GiB are too long, as soon as a header announces them', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { maxPayload: 0 }));
  const code = error(websocket);
  const header = Buffer.alloc(14);
  header.writeUInt16BE(0x82ff);
  header.writeBigUInt64BE(2n ** 32n, 2);
  raw.write(header);
  assert.strictEqual(await code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
});

test('a frame in many chunks meets no limit of chunks', { skip: !isOurs }, async (t) => {
  const { websocket } = await openRaw(t, await serve(t, { maxBufferedChunks: 2, maxPayload: 100 }));
  const message = event(websocket, 'message');
  // Pushed into the socket, so that each byte is a chunk.
  for (const byte of masked(0x82, 'x'.repeat(100))) websocket._socket.push(Buffer.from([byte]));
  assert.strictEqual((await message)[0].length, 100);
});

test('options of zlib that no compressor can have are refused when they are set', { skip: !isOurs }, () => {
  const perMessageDeflate = { zlibDeflateOptions: { level: 10 } };
  const refusal = { name: 'RangeError', message: 'zlibDeflateOptions.level must be an integer from -1 to 9, not 10' };
  assert.throws(() => new WebSocket.Server({ noServer: true, perMessageDeflate }), refusal);
  assert.throws(() => new WebSocket('ws://127.0.0.1:1', { perMessageDeflate }), refusal);
});

test('options of zlib other than level and memLevel change nothing', async (t) => {
  const zlibDeflateOptions = { chunkSize: 64, strategy: zlib.constants.Z_HUFFMAN_ONLY, windowBits: 9, level: 0, memLevel: 1 };
  const options = { perMessageDeflate: { zlibDeflateOptions, zlibInflateOptions: { chunkSize: 64 }, concurrencyLimit: 1, threshold: 0 } };
  const { websocket, client } = await pair(t, options, options);
  const text = 'text '.repeat(100);
  const message = event(client, 'message');
  websocket.send(text);
  assert.strictEqual(String((await message)[0]), text);
});

test('messages are compressed with a window of 4 KiB', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { perMessageDeflate: true }), DEFLATE);
  // The repetition is farther away than 4 KiB, and nearer than 32 KiB.
  const half = require('node:crypto').randomBytes(6000);
  const data = Buffer.concat([half, half]);
  assert.ok(zlib.deflateRawSync(data).length < 6500);
  websocket.send(data);
  const header = await raw.read(4);
  assert.strictEqual(header[0], 0xc2);
  assert.ok(header.readUInt16BE(2) > 11000);
  const payload = await raw.read(header.readUInt16BE(2));
  assert.ok(zlib.inflateRawSync(payload, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).equals(data));
});

test('a message that is kept keeps at most 256 KiB', async (t) => {
  const { websocket, client } = await pair(t);
  const message = event(websocket, 'message');
  client.send(Buffer.from('small'));
  const [data] = await message;
  assert.ok(data.buffer.byteLength <= 256 * 1024, String(data.buffer.byteLength));
});

// The masking and the UTF-8 check of ws are in JavaScript with these variables, and without the modules. Here nothing looks at them.
test('the environment variables of ws change nothing, and no other module is loaded', async () => {
  const program = `
    const { WebSocket, WebSocketServer } = require(${JSON.stringify(SUBJECT)});
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => {
      const client = new WebSocket('ws://127.0.0.1:' + server.address().port);
      client.on('open', () => client.send('ä'.repeat(100)));
      client.on('message', (data) => {
        const loaded = Object.keys(require.cache).filter((file) => /bufferutil|utf-8-validate/.test(file));
        console.log(String(data) === 'ä'.repeat(100), loaded.length);
        client.close();
        server.close();
      });
    });
    server.on('connection', (websocket) => websocket.on('message', (data) => websocket.send(String(data))));`;
  const variables = [{}, { WS_NO_BUFFER_UTIL: '1', WS_NO_UTF_8_VALIDATE: '1' }, { WS_NO_BUFFER_UTIL: '', WS_NO_UTF_8_VALIDATE: '' }];
  for (const own of variables) {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', program], { env: { ...process.env, ...own }, timeout: 20_000 });
    assert.deepStrictEqual([status, String(stdout), String(stderr)], [0, 'true 0\n', '']);
  }
});

test('broadcast is compressed by zlib, with all of its options', { skip: !isOurs }, async (t) => {
  const text = 'a text that repeats, a text that repeats, a text that repeats; '.repeat(20);
  for (const own of [{ level: 0 }, { level: 1 }, { strategy: zlib.constants.Z_HUFFMAN_ONLY }, { memLevel: 1, level: 9 }]) {
    const perMessageDeflate = { serverNoContextTakeover: true, threshold: 0, zlibDeflateOptions: own };
    const server = await serve(t, { perMessageDeflate });
    const { raw } = await openRaw(t, server, DEFLATE);
    const expected = zlib.deflateRawSync(text, { ...own, windowBits: 15, finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
    server.broadcast(text);
    const frame = plain(0xc1, expected);
    assert.ok((await raw.read(frame.length)).equals(frame), JSON.stringify(own));
  }
});

// In ws every frame is with the kernel when `send` returns.
test('a frame that is sent in a handler, or is not the first of a tick, is written at the end of the turn or the tick', async (t) => {
  const { websocket, client } = await pair(t);
  const written = () => websocket._socket.bytesWritten;
  const text = 'x'.repeat(100);
  const size = text.length + 2;

  const before = written();
  websocket.send(text);
  assert.strictEqual(written() - before, size, 'the first of a tick');
  websocket.send(text);
  assert.strictEqual(written() - before, isOurs ? size : 2 * size, 'the second');
  await null;
  await new Promise(process.nextTick);
  assert.strictEqual(written() - before, 2 * size, 'the second, behind its tick');

  const seen = within('the message', new Promise((resolve) => websocket.once('message', () => {
    const then = written();
    websocket.send(text);
    const inHandler = written() - then;
    setImmediate(() => resolve([inHandler, written() - then]));
  })));
  client.send('now');
  assert.deepStrictEqual(await seen, [isOurs ? 0 : size, size]);
});

// See memory.test.js: no other message is harmed.
test('the memory of a message cannot be transferred away over plain TCP, and on the other lane it can', { skip: !isOurs }, async (t) => {
  const { websocket, client } = await pair(t);
  const message = event(websocket, 'message');
  client.send(Buffer.from('some bytes'));
  const [data] = await message;
  const { buffer } = data;
  const transfer = () => new MessageChannel().port1.postMessage(buffer, [buffer]);
  if (hasDescriptors && NODE >= 22) {
    assert.throws(transfer, { name: 'DataCloneError' });
    assert.strictEqual(String(data), 'some bytes');
  } else {
    transfer();
    assert.strictEqual(data.length, hasDescriptors ? 10 : 0);
  }
});

test('_receiver is no stream, and still tells of the peer\'s close frame', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  assert.ok(!(websocket._receiver instanceof Writable));
  const conclude = within('conclude', new Promise((resolve) => websocket._receiver.once('conclude', (...args) => resolve(args))));
  raw.write(masked(0x88, Buffer.from([3, 232])));
  const [code, reason] = await conclude;
  assert.deepStrictEqual([code, reason.length], [1000, 0]);
  assert.deepStrictEqual(await raw.rest(), plain(0x88, Buffer.from([3, 232])));
});
