'use strict';

// Violations and limits: what the program is told, what the peer is told, and that a limit is met before memory is spent.

const assert = require('node:assert');
const { createHash } = require('node:crypto');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { ANSWER, WebSocket, closing, event, masked, openRaw } = require('./support/peers');
const { plain, record, serve, serveRaw, takeUncaught, whenClosed, within } = require('./support/peers');

const FRAME = 'Invalid WebSocket frame: ';
const hex = (text) => Buffer.from(text.replace(/ /g, ''), 'hex');
const isOurs = !process.env.ROPEWAY_SUBJECT;

// Each row: name; the bytes of a client; class, code and text of the error; the code that the client reads.
const ROWS = [
  ['RSV2', 'a1 80 00000000', RangeError, 'WS_ERR_UNEXPECTED_RSV_2_3', `${FRAME}RSV2 and RSV3 must be clear`, 1002],
  ['RSV3', '91 80 00000000', RangeError, 'WS_ERR_UNEXPECTED_RSV_2_3', `${FRAME}RSV2 and RSV3 must be clear`, 1002],
  ['RSV1', 'c1 80 00000000', RangeError, 'WS_ERR_UNEXPECTED_RSV_1', `${FRAME}RSV1 must be clear`, 1002],
  ['an unknown opcode', '83 80 00000000', RangeError, 'WS_ERR_INVALID_OPCODE', `${FRAME}invalid opcode 3`, 1002],
  ['a control frame of no kind', '8b 80 00000000', RangeError, 'WS_ERR_INVALID_OPCODE', `${FRAME}invalid opcode 11`, 1002],
  ['a continuation of nothing', '80 80 00000000', RangeError, 'WS_ERR_INVALID_OPCODE', `${FRAME}invalid opcode 0`, 1002],
  ['a text within a message', '01 80 00000000 81 80 00000000', RangeError, 'WS_ERR_INVALID_OPCODE',
    `${FRAME}invalid opcode 1`, 1002],
  ['bytes within a message', '01 80 00000000 82 80 00000000', RangeError, 'WS_ERR_INVALID_OPCODE',
    `${FRAME}invalid opcode 2`, 1002],
  ['a ping in fragments', '09 80 00000000', RangeError, 'WS_ERR_EXPECTED_FIN', `${FRAME}FIN must be set`, 1002],
  ['a ping that is too long', '89 fe 007e', RangeError, 'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH',
    `${FRAME}invalid payload length 126`, 1002],
  ['half a close code', '88 81 00000000', RangeError, 'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH',
    `${FRAME}invalid payload length 1`, 1002],
  ['no mask', '81 00', RangeError, 'WS_ERR_EXPECTED_MASK', `${FRAME}MASK must be set`, 1002],
  ['a close code that may not be sent', '88 82 00000000 03ed', RangeError, 'WS_ERR_INVALID_CLOSE_CODE',
    `${FRAME}invalid status code 1005`, 1002],
  ['a close reason that is not UTF-8', '88 83 00000000 03e8ff', Error, 'WS_ERR_INVALID_UTF8',
    `${FRAME}invalid UTF-8 sequence`, 1007],
  ['a text that is not UTF-8', '81 81 00000000 ff', Error, 'WS_ERR_INVALID_UTF8', `${FRAME}invalid UTF-8 sequence`, 1007],
  ['a length above 2^53 - 1', '82 ff 0020000000000000 00000000', RangeError, 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
    'Unsupported WebSocket frame: payload length > 2^53 - 1', 1009],
  // CVE-2016-10542: refused by the header, so no memory is taken for it.
  ['a length above maxPayload', '82 ff 00000001 00000000 00000000', RangeError, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
    'Max payload size exceeded', 1009]
];

for (const [name, bytes, Class, code, message, status] of ROWS) {
  test(`${name}: an error, the code ${status} for the peer, and 1006 here`, async (t) => {
    const { raw, websocket } = await openRaw(t, await serve(t));
    const lines = record(websocket);
    const failed = event(websocket, 'error');
    raw.write(masked(0x81, 'before'), hex(bytes), masked(0x81, 'behind'));
    const [error] = await failed;
    assert.strictEqual(Object.getPrototypeOf(error), Class.prototype);
    assert.strictEqual(error.message, message);
    assert.deepStrictEqual(await raw.rest(), plain(0x88, closing(status)));
    raw.socket.end();
    await whenClosed(websocket);
    assert.deepStrictEqual(lines, ['text before', `error ${code}`, 'close 1006']);
  });
}

test('a masked frame of a server is refused', async (t) => {
  const { url } = await serveRaw(t, (key, raw) => {
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    raw.write([...ANSWER.slice(0, 3), `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'), masked(0x81, 'x'));
  });
  const websocket = new WebSocket(url, { closeTimeout: 30 });
  const lines = record(websocket);
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['open', 'error WS_ERR_UNEXPECTED_MASK', 'close 1006']);
});

test('a compressed message that is broken is zlib\'s error', async (t) => {
  const { raw, websocket } = await openRaw(
    t,
    await serve(t, { perMessageDeflate: true }),
    'Sec-WebSocket-Extensions: permessage-deflate'
  );
  const failed = event(websocket, 'error');
  raw.write(masked(0xc1, Buffer.from('22faec78', 'hex')));
  const [error] = await failed;
  assert.deepStrictEqual([error.code, error.errno], ['Z_DATA_ERROR', -3]);
  assert.deepStrictEqual(await raw.rest(), plain(0x88, closing(1007)));
});

test('a message that inflates above maxPayload is stopped', async (t) => {
  const { raw, websocket } = await openRaw(
    t,
    await serve(t, { perMessageDeflate: true, maxPayload: 1024 }),
    'Sec-WebSocket-Extensions: permessage-deflate'
  );
  const lines = record(websocket);
  const bomb = zlib.deflateRawSync(Buffer.alloc(10 * 1024 * 1024), { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  const masks = [];
  for (let at = 0; at < bomb.length; at += 1000) {
    const isLast = at + 1000 >= bomb.length;
    const part = bomb.subarray(at, isLast ? bomb.length - 4 : at + 1000);
    masks.push(masked((isLast ? 0x80 : 0) | (at === 0 ? 0x42 : 0), part));
  }
  raw.write(...masks);
  assert.deepStrictEqual(await raw.rest(), plain(0x88, closing(1009)));
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['error WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'close 1006']);
});

test('maxPayload counts all fragments of a message', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { maxPayload: 10 }));
  const lines = record(websocket);
  raw.write(masked(0x82, '0123456789'), masked(0x02, '01234'), masked(0x00, '56789'), masked(0x00, '!'));
  assert.deepStrictEqual(await raw.rest(), plain(0x88, closing(1009)));
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['binary 0123456789', 'error WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'close 1006']);
});

test('limits are signed integers of 32 bits, and what is not positive is no limit', async (t) => {
  for (const maxPayload of [0, -1, 2 ** 31, Infinity, undefined]) {
    const { raw, websocket } = await openRaw(t, await serve(t, { maxPayload }));
    const message = event(websocket, 'message');
    raw.write(masked(0x82, Buffer.alloc(1000)));
    assert.strictEqual((await message)[0].length, 1000, String(maxPayload));
  }
  const { raw, websocket } = await openRaw(t, await serve(t, { maxPayload: 2 ** 32 + 5 }));
  const failed = event(websocket, 'error');
  raw.write(masked(0x82, '123456'));
  assert.strictEqual((await failed)[0].code, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
});

test('maxFragments counts empty fragments as well, and starts again with each message (CVE-2026-48779, -62389)', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { maxFragments: 3 }));
  const lines = record(websocket);
  const whole = [masked(0x02), masked(0x00), masked(0x80, 'x')];
  raw.write(...whole, ...whole, masked(0x02), masked(0x00), masked(0x00), masked(0x00));
  assert.deepStrictEqual(await raw.rest(), plain(0x88, closing(1008)));
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['binary x', 'binary x', 'error WS_ERR_TOO_MANY_BUFFERED_PARTS', 'close 1006']);
});

test('more than 16384 messages that are not fragmented meet no limit', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  let count = 0;
  const all = new Promise((resolve, reject) => {
    websocket.on('error', reject);
    websocket.on('message', () => {
      if (++count === 40000) resolve();
    });
  });
  const thousand = Buffer.concat(Array.from({ length: 1000 }, () => masked(0x81, 'x')));
  for (let i = 0; i < 40; i++) raw.write(thousand);
  await within('40000 messages', all);
});

test('skipUTF8Validation delivers texts as they came', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { skipUTF8Validation: true }));
  const message = event(websocket, 'message');
  raw.write(masked(0x81, Buffer.from([0xff])));
  assert.deepStrictEqual(await message, [Buffer.from([0xff]), false]);
  const close = event(websocket, 'close');
  raw.write(masked(0x88, Buffer.from([0x03, 0xe8, 0xff])));
  assert.deepStrictEqual(await close, [1000, Buffer.from([0xff])]);
});

test('more automatic pongs than maxPendingAutoPongs wait for a peer that does not read: terminate', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { maxPendingAutoPongs: 5 }));
  const lines = record(websocket);
  raw.socket.pause();
  raw.write(...Array.from({ length: 6 }, () => masked(0x89)));
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['ping', 'ping', 'ping', 'ping', 'ping', 'ping', 'close 1006']);
});

test('a length that is not in its shortest form is refused', { skip: !isOurs }, async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const failed = event(websocket, 'error');
  raw.write(hex('81 fe 0001 00000000 61'));
  assert.strictEqual((await failed)[0].code, 'ROPEWAY_ERR_LENGTH_NOT_MINIMAL');
  assert.deepStrictEqual(await raw.rest(), plain(0x88, closing(1002)));
});

test('an error is emitted once, and without a listener it is thrown', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const uncaught = takeUncaught(t);
  raw.write(hex('83 80 00000000'), hex('84 80 00000000'));
  assert.strictEqual((await uncaught)[0].message, `${FRAME}invalid opcode 3`);
  raw.socket.end();
  await whenClosed(websocket);
});
