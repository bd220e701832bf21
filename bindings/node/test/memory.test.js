'use strict';

// Memory: messages of many connections lie in the same slabs. What a program does with the memory of one harms no other, and what
// was written is let go of.

const assert = require('node:assert');
const { test } = require('node:test');

const { event, masked, openRaw, pair, serve, within } = require('./support/peers');

// Bytes of one value, so that a foreign byte is seen.
const filled = (length, value) => Buffer.alloc(length, value);

test('a program that takes the memory of a message away loses no other message', async (t) => {
  const ways = [(data) => structuredClone(data.buffer, { transfer: [data.buffer] })];
  if (ArrayBuffer.prototype.transfer) ways.push((data) => data.buffer.transfer(0));
  for (const way of ways) {
    const { websocket, client } = await pair(t);
    const other = await pair(t);
    for (let round = 1; round <= 20; round++) {
      const [mine, theirs] = [event(websocket, 'message'), event(other.websocket, 'message')];
      client.send(filled(1000, round));
      assert.ok((await mine)[0].equals(filled(1000, round)));
      try {
        way((await mine)[0]);
      } catch (error) {
        // Node 22 and newer refuse it, 24 also to `transfer`; older ones copy.
        assert.ok(['DataCloneError', 'TypeError'].includes(error.name), `${error}`);
      }
      other.client.send(filled(1000, 255 - round));
      assert.ok((await theirs)[0].equals(filled(1000, 255 - round)), `round ${round}`);
    }
  }
});

test('an ArrayBuffer is the program\'s own, and can be transferred', async (t) => {
  const { websocket, client } = await pair(t);
  websocket.binaryType = 'arraybuffer';
  for (const length of [10, 20_000, 200_000]) {
    const message = event(websocket, 'message');
    client.send(filled(length, 7));
    const [data] = await message;
    assert.ok(data instanceof ArrayBuffer);
    assert.ok(Buffer.from(structuredClone(data, { transfer: [data] })).equals(filled(length, 7)));
    assert.strictEqual(data.byteLength, 0);
  }
});

test('a sender that receives nothing holds no memory of what was written', async (t) => {
  const { websocket, client } = await pair(t);
  // On either lane: with a listener for 'data' the socket has the stream lane.
  client._socket.on('data', () => {});
  const size = 4000;
  const before = process.memoryUsage().arrayBuffers;
  let received = 0;
  websocket.on('message', (data) => { received += data.length; });
  for (let round = 0; round < 100; round++) {
    for (let message = 0; message < 50; message++) client.send(filled(size, 1));
    await within('the messages', new Promise((resolve) => client.send('', resolve)));
  }
  await within('all of them', (async () => {
    while (received < 100 * 50 * size) await new Promise(setImmediate);
  })());
  // 20 MB were sent. A slab has 256 KiB, and both ends are in this process; the rest is garbage that was not collected yet.
  require('node:v8').setFlagsFromString('--expose-gc');
  const collect = require('node:vm').runInNewContext('gc');
  collect();
  await new Promise(setImmediate);
  collect();
  const held = process.memoryUsage().arrayBuffers - before;
  assert.ok(held < 4 << 20, `${held} bytes are held`);
});

test('a message that is compressed in the background when its connection is given up harms nothing', async (t) => {
  const port = await serve(t, { perMessageDeflate: true, allowSynchronousEvents: false });
  const { raw, websocket } = await openRaw(t, port, 'Sec-WebSocket-Extensions: permessage-deflate');
  websocket.once('message', () => websocket.send(require('node:crypto').randomBytes(4 << 20)));
  const closed = event(websocket, 'close');
  // More pings than may wait for their pongs: the server terminates. Behind them events wait, one for each turn of the loop.
  raw.write(masked(0x82, 'q'), ...Array.from({ length: 70 }, () => masked(0x89, '')), ...Array.from({ length: 2000 }, () => masked(0x82, 'x')));
  assert.strictEqual((await closed)[0], 1006);
});

test('small messages that are kept beside others hold little more than their own length', { timeout: 120000 }, async (t) => {
  const { rows, SLABS } = require('../lib/hub');
  const SLAB = 256 * 1024;
  require('node:v8').setFlagsFromString('--expose-gc');
  const collect = require('node:vm').runInNewContext('gc');
  const settle = async () => {
    for (let round = 0; round < 3; round++) {
      collect();
      await new Promise(setImmediate);
    }
  };
  const [quiet, busy] = [await pair(t), await pair(t)];
  const kept = [];
  let others = 0;
  quiet.websocket.on('message', (data) => kept.push(data));
  busy.websocket.on('message', () => { others++; });
  for (let round = 0; round < 1500; round++) {
    quiet.client.send(filled(100, round & 255));
    for (let i = 0; i < 30; i++) busy.client.send(filled(4000, 0));
    await within('a round', (async () => {
      while (kept.length <= round || others < 30 * (round + 1)) await new Promise(setImmediate);
    })());
  }
  // 172 MiB have come. Behind the first 36 MiB each message that is kept has memory of its own.
  await settle();
  const load = async () => {
    const before = others;
    for (let i = 0; i < 100; i++) busy.client.send(filled(4000, 0));
    await within('a round', (async () => {
      while (others < before + 100) await new Promise(setImmediate);
    })());
  };
  // The count is told with each new slab.
  await load();
  const bytes = rows[SLABS] * SLAB;
  assert.ok(bytes <= 4 * 100 * kept.length + (40 << 20), `${bytes} bytes of slabs for ${kept.length} messages of 100 bytes`);
  kept.forEach((data, round) => assert.ok(data.equals(filled(100, round & 255)), `message ${round}`));

  // Behind them slabs are used as before.
  kept.length = 0;
  await settle();
  await load();
  assert.ok(rows[SLABS] < 64, `${rows[SLABS]} slabs when nothing is kept`);
});
