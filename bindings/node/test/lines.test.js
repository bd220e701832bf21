'use strict';

// Lines: what waits for its turn, thousands at a time. How many steps it takes is counted, not how long.

const assert = require('node:assert');
const http = require('node:http');
const { Writable } = require('node:stream');
const { test } = require('node:test');

const { WebSocket, event, masked, openRaw, pair, serve, whenClosed, within } = require('./support/peers');

const LONG = 20_000;

// Elements that may be moved for each that is taken off a list. A list of 20,000 of which each is taken by `shift` moves 10,000.
const MOVES = 50;

test('events that wait for a turn each are taken off their list without moving the others each time', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { allowSynchronousEvents: false }));
  const moved = countMoves(t);
  let heard = 0;
  let turns = 0;
  const tick = () => {
    turns++;
    if (heard < LONG) setImmediate(tick);
  };
  const all = within('all messages', new Promise((resolve) => websocket.on('message', () => ++heard === LONG && resolve())), 60_000);
  setImmediate(tick);
  raw.write(Buffer.concat(Array.from({ length: LONG }, () => masked(0x82, 'x'))));
  await all;
  assert.ok(turns >= LONG, `${turns} turns for ${LONG} events`);
  assert.ok(moved() < MOVES * LONG, `${moved()} elements were moved for ${LONG} events`);
});

test('messages that wait to be compressed are taken off their line without moving the others each time', async (t) => {
  const perMessageDeflate = { threshold: 0 };
  const { websocket, client } = await pair(t, { perMessageDeflate }, { perMessageDeflate });
  const heard = [];
  client.on('message', (data) => heard.push(String(data)));
  const moved = countMoves(t);
  let callbacks = 0;
  // The first one is compressed in the background, and all others wait for it.
  websocket.send('a'.repeat(100_000));
  for (let i = 0; i < LONG; i++) websocket.send(String(i), () => callbacks++);
  assert.ok(websocket.bufferedAmount >= 100_000);
  websocket.close();
  await within('the end', whenClosed(client), 60_000);
  assert.strictEqual(heard.length, LONG + 1);
  assert.ok(heard.slice(1).every((text, i) => text === String(i)));
  assert.strictEqual(callbacks, LONG);
  assert.ok(moved() < MOVES * LONG, `${moved()} elements were moved for ${LONG} messages`);
});

test('sends that wait behind a Blob are taken off their line without moving the others each time', async (t) => {
  const { websocket, client } = await pair(t);
  const heard = [];
  client.on('message', (data) => heard.push(data.length));
  const moved = countMoves(t);
  websocket.send(new Blob(['blob']));
  for (let i = 0; i < LONG; i++) websocket.send('x');
  websocket.close();
  await within('the end', whenClosed(client), 60_000);
  assert.deepStrictEqual([heard.length, heard[0], heard[LONG]], [LONG + 1, 4, 1]);
  assert.ok(moved() < MOVES * LONG, `${moved()} elements were moved for ${LONG} sends`);
});

test('a Sender that waits for a Blob, and a Receiver that is given all at once, move no others either', async (t) => {
  const moved = countMoves(t);
  const chunks = [];
  const written = within('all frames', new Promise((resolve) => {
    const socket = new Writable({ write: (chunk, encoding, callback) => callback(null, chunks.push(chunk)) });
    const sender = new WebSocket.Sender(socket);
    const options = { binary: true, fin: true, mask: false };
    sender.send(new Blob(['blob']), options);
    for (let i = 0; i < LONG; i++) sender.send('x', options, i === LONG - 1 ? resolve : undefined);
  }));
  await written;
  const receiver = new WebSocket.Receiver();
  let heard = 0;
  receiver.on('message', () => heard++);
  receiver.write(Buffer.concat(chunks));
  assert.strictEqual(heard, LONG + 1);
  assert.ok(moved() < MOVES * LONG, `${moved()} elements were moved for ${LONG} sends`);
});

// More frames than half of the addon's table of events has room for, and each is told while a message of the outer connection is.
const FRAMES = 34_000;

test('a connection through another takes thousands of frames in a turn, in both directions', async (t) => {
  const outer = await serve(t);
  const inner = new WebSocket.Server({ noServer: true });
  const tunnel = http.createServer().on('upgrade', (req, socket, head) => {
    inner.handleUpgrade(req, socket, head, (websocket) => inner.emit('connection', websocket, req));
  });
  outer.on('connection', (websocket) => tunnel.emit('connection', WebSocket.createWebSocketStream(websocket)));
  const carrier = new WebSocket(`ws://127.0.0.1:${outer.address().port}`, { perMessageDeflate: false });
  await event(carrier, 'open');
  const client = new WebSocket('ws://inner', {
    perMessageDeflate: false, createConnection: () => WebSocket.createWebSocketStream(carrier)
  });
  t.after(() => {
    client.terminate();
    carrier.terminate();
  });
  const [[websocket]] = await Promise.all([event(inner, 'connection'), event(client, 'open')]);
  for (const [from, to] of [[client, websocket], [websocket, client]]) {
    let heard = 0;
    const all = within('all frames', new Promise((resolve, reject) => to.on('message', (data) => {
      if (String(data) !== String(heard)) reject(new Error(`${data} came in place of ${heard}`));
      if (++heard === FRAMES) resolve();
    })), 60_000);
    for (let i = 0; i < FRAMES; i++) from.send(String(i));
    await all;
  }
  const ends = Promise.all([whenClosed(client), whenClosed(websocket)]);
  client.close();
  await within('the ends', ends);
});

// How many elements `shift` and `splice` have moved since then.
function countMoves(t) {
  const { shift, splice } = Array.prototype;
  let moved = 0;
  Array.prototype.shift = function () {
    moved += this.length;
    return shift.call(this);
  };
  Array.prototype.splice = function (...args) {
    const removed = splice.apply(this, args);
    // All behind the place that changes, at most.
    moved += Math.max(this.length - Math.max(args[0] || 0, 0), 0);
    return removed;
  };
  t.after(() => Object.assign(Array.prototype, { shift, splice }));
  return () => moved;
}
