'use strict';

// Slices: compressed bytes that inflate to much are taken over several turns of the event loop, in the order in which they came.

const assert = require('node:assert');
const { Duplex } = require('node:stream');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { EMPTY, attach } = require('../lib/lane');
const { Inbound } = require('../lib/inbound');
const { Owner, pair } = require('./support/lanes');
const { within } = require('./support/peers');

const MEBIBYTE = 1 << 20;

/** The most bytes that a slice may inflate to: 256 KiB, and a part of a frame, which has up to 1,032 KiB. */
const SLICE = 256 * 1024 + 1032 * 1024;

/** The slices of a turn of the event loop. */
const SLICES = 4;

/** A frame of a server with a compressed message. */
function compressed(data) {
  const payload = zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
  const { length } = payload;
  const header = length < 126 ? [0xc2, length] : [0xc2, 126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(header), payload]);
}

/** Frames as one chunk. */
function chunk(...frames) {
  return Buffer.concat(frames);
}

const TEXT = (text) => Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]);
const DEFLATE = { serverNoContextTakeover: true, clientNoContextTakeover: true };

function open(settings) {
  const owner = new Owner();
  return { owner, inbound: new Inbound(owner, { isServer: false, maxPayload: 0, maxFragments: 0, deflate: DEFLATE, ...settings }) };
}

/** Waits turn by turn until nothing waits in an inbound, and calls `each` after each turn. Returns how many there were. */
async function idle(inbound, each = () => {}) {
  for (let turns = 0; turns < 10000; turns++) {
    if (inbound.isIdle) return turns;
    await new Promise(setImmediate);
    each();
  }
  throw new Error('something still waits after 10,000 turns');
}

/** The events of an owner, with lengths in place of bytes. */
function told(owner) {
  return owner.events.map(([kind, data]) => (kind === 'message' ? data.length : kind));
}

test('a message that is inflated to much takes many turns of the event loop', async () => {
  const { owner, inbound } = open();
  inbound.feed(chunk(compressed(Buffer.alloc(32 * MEBIBYTE)), TEXT('behind')));
  assert.ok(inbound.received <= SLICE, `${inbound.received} bytes at once`);
  let before = inbound.received;
  const turns = await idle(inbound, () => {
    assert.ok(inbound.received <= before + SLICES * SLICE, `from ${before} to ${inbound.received} bytes in a turn`);
    before = inbound.received;
  });
  assert.ok(turns >= 32 * MEBIBYTE / SLICE / SLICES - 1, `${turns} turns`);
  assert.deepStrictEqual(told(owner), [32 * MEBIBYTE, 'behind'.length]);
  inbound.free();
});

test('many messages that are inflated to much take many turns, in their order', async () => {
  const { owner, inbound } = open();
  const lengths = Array.from({ length: 100 }, (_, index) => 200_000 + index);
  inbound.feed(chunk(...lengths.map((length) => compressed(Buffer.alloc(length)))));
  assert.ok(owner.events.length <= 2, `${owner.events.length} messages at once`);
  let before = owner.events.length;
  await idle(inbound, () => {
    assert.ok(owner.events.length <= before + SLICES * 2, `${owner.events.length - before} messages in a turn`);
    before = owner.events.length;
  });
  assert.deepStrictEqual(told(owner), lengths);
  inbound.free();
});

test('many connections share the slices of a turn, and none waits for ever', async () => {
  const opened = Array.from({ length: 20 }, () => open());
  for (const { inbound } of opened) inbound.feed(chunk(compressed(Buffer.alloc(4 * MEBIBYTE))));
  const received = () => opened.map(({ inbound, owner }) => (owner.events.length > 0 ? 4 * MEBIBYTE : inbound.received));
  const sum = (list) => list.reduce((all, one) => all + one);
  let before = received();
  while (sum(before) < 20 * 4 * MEBIBYTE) {
    await new Promise(setImmediate);
    const now = received();
    assert.ok(sum(now) > sum(before), 'each turn goes on');
    assert.ok(sum(now) - sum(before) <= SLICES * SLICE, `${sum(now) - sum(before)} bytes in a turn`);
    // Each slice is at least 256 KiB, but for the last.
    assert.ok(Math.max(...now) - Math.min(...now) <= 2 * SLICE, `from ${Math.min(...now)} to ${Math.max(...now)} bytes`);
    before = now;
  }
  for (const { owner, inbound } of opened) {
    assert.deepStrictEqual(told(owner), [4 * MEBIBYTE]);
    inbound.free();
  }
});

test('chunks that come while bytes wait go behind them', async () => {
  for (const allowSynchronousEvents of [true, false]) {
    const { owner, inbound } = open({ allowSynchronousEvents });
    inbound.feed(chunk(TEXT('first'), compressed(Buffer.alloc(3 * MEBIBYTE)), TEXT('x')));
    inbound.feed(chunk(TEXT('second chunk')));
    inbound.feed(chunk(compressed(Buffer.alloc(2 * MEBIBYTE)), TEXT('xyz')));
    await idle(inbound);
    assert.deepStrictEqual(told(owner), [5, 3 * MEBIBYTE, 1, 12, 2 * MEBIBYTE, 3]);
    inbound.free();
  }
});

test('behind a close frame or a violation in such a chunk nothing is delivered, and nothing waits', async () => {
  const ends = { close: Buffer.from('880203e8', 'hex'), violation: Buffer.from('8f00', 'hex') };
  for (const [name, frame] of Object.entries(ends)) {
    const { owner, inbound } = open();
    inbound.feed(chunk(compressed(Buffer.alloc(2 * MEBIBYTE)), frame, TEXT('x')));
    inbound.feed(chunk(TEXT('second chunk')));
    await idle(inbound);
    assert.deepStrictEqual(told(owner), [2 * MEBIBYTE, name]);
    inbound.free();
  }
});

test('a connection that is freed while bytes wait is told nothing more', async () => {
  const { owner, inbound } = open();
  inbound.feed(chunk(compressed(Buffer.alloc(8 * MEBIBYTE))));
  assert.ok(!inbound.isIdle);
  inbound.free();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.deepStrictEqual(told(owner), []);
});

test('another connection is heard while one inflates a large message, which keeps its place', async (t) => {
  const [server, client] = await pair(t, { deflate: { ...DEFLATE, threshold: 1024 } });
  const [otherServer, otherClient] = await pair(t);
  const order = [];
  server.owner.on = (data) => order.push(data.length);
  otherServer.owner.on = (data) => order.push(data.toString());
  client.lane.send(Buffer.alloc(64 * MEBIBYTE), true, null);
  client.lane.send(Buffer.alloc(7), true, null);
  await within('the large message to begin', (async () => {
    while (server.lane.received === 0) await new Promise(setImmediate);
  })());
  otherClient.lane.send('heard', false, null);
  await server.owner.count(2, 'both messages');
  assert.deepStrictEqual(order, ['heard', 64 * MEBIBYTE, 7]);
});

test('all that came before the end of the socket is delivered, however long that takes', async (t) => {
  for (const end of ['end', 'resetAndDestroy']) {
    const [server, client] = await pair(t, { deflate: DEFLATE });
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    const lengths = [9 * MEBIBYTE, 3, 5 * MEBIBYTE];
    server.lane.raw([chunk(...lengths.map((length) => compressed(Buffer.alloc(length))))]);
    await within('the first slice', (async () => {
      while (client.lane.received === 0) await new Promise(setImmediate);
    })());
    // All has been read, but most of it still waits.
    server.socket[end]();
    client.socket.once('end', () => client.socket.end());
    await within('the close', closed);
    await client.owner.count(3, 'all messages');
    assert.deepStrictEqual(told(client.owner), lengths, end);
  }
});

test('a socket that others resume is not read before the bytes that wait', async (t) => {
  const [server, client] = await pair(t, { deflate: { ...DEFLATE, threshold: 1024 } });
  const lengths = Array.from({ length: 40 }, (_, index) => (index % 2 ? 10 + index : 3 * MEBIBYTE + index));
  for (const length of lengths) client.lane.send(Buffer.alloc(length), true, null);
  const resuming = (async () => {
    while (server.owner.events.length < lengths.length) {
      server.socket.resume();
      await new Promise(setImmediate);
    }
  })();
  await within('all messages', resuming);
  assert.deepStrictEqual(told(server.owner), lengths);
});

test('a peer that answers before a handler returns is heard behind what it said before', () => {
  // Two ends in memory that pass bytes on within the call.
  class End extends Duplex {
    _read() {}
    _write(bytes, encoding, callback) {
      this.peer.push(Buffer.from(bytes));
      callback();
    }
  }
  const [near, far] = [new End(), new End()];
  near.peer = far;
  far.peer = near;
  const owner = new Owner();
  const settings = { isServer: false, maxPayload: 0, maxFragments: 0, allowSynchronousEvents: true, deflate: null };
  const lane = attach(near, EMPTY, owner, settings);
  far.on('data', () => {
    far.answer?.();
  });
  return (async () => {
    await new Promise(setImmediate);
    far.answer = () => {
      far.answer = undefined;
      near.push(chunk(TEXT('the answer')));
    };
    owner.on = (data) => {
      if (data.toString() === 'one') lane.raw([TEXT('x')]);
    };
    near.push(chunk(TEXT('one'), TEXT('two')));
    await owner.count(3, 'all three');
    assert.deepStrictEqual(owner.events.map(([, data]) => data), ['one', 'two', 'the answer']);
    lane.detach(() => new Error('enough'));
  })();
});
