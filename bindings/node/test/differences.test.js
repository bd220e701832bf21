'use strict';

// Differences from npm's ws that are meant: one test for each row of the table in README.md that no other test has.

const assert = require('node:assert');
const { Writable } = require('node:stream');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { WebSocket, event, masked, openRaw, pair, plain, serve, within } = require('./support/peers');

const isOurs = !process.env.ROPEWAY_SUBJECT;
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

test('a server with ws\'s own environment variables needs no other module', async (t) => {
  const { client, websocket } = await pair(t);
  const echo = event(client, 'message');
  websocket.on('message', (data) => websocket.send(data));
  client.send('x');
  assert.strictEqual(String((await echo)[0]), 'x');
  const loaded = Object.keys(require.cache).filter((file) => /bufferutil|utf-8-validate/.test(file));
  assert.deepStrictEqual(loaded, []);
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
