'use strict';

// The end of a socket whose descriptor the addon has: once Node has closed it, nothing may be written to the number, which may be
// another socket's by then.

const assert = require('node:assert');
const { once } = require('node:events');
const net = require('node:net');
const { test } = require('node:test');

const { open, sockets } = require('./support/lanes');
const { within } = require('./support/peers');

const hasDescriptors = process.platform === 'linux' && process.env.ROPEWAY_LANE !== 'stream';

/** A server for other sockets, which notes every byte that either of their ends gets. */
async function sink(t) {
  const received = [];
  const ends = [];
  let onFirst;
  const first = new Promise((resolve) => { onFirst = resolve; });
  const add = (socket) => {
    ends.push(socket);
    socket.on('data', (chunk) => {
      received.push(chunk);
      onFirst();
    });
    socket.on('error', () => {});
  };
  const server = net.createServer(add);
  server.listen(0, '127.0.0.1');
  await within('the sink to listen', once(server, 'listening'));
  t.after(() => {
    server.close();
    ends.forEach((socket) => socket.destroy());
  });
  return { server, received, first, ends, add };
}

/** Opens connections until one of their ends has this descriptor. */
async function reuse({ server, ends, add }, number) {
  for (let tries = 0; tries < 64; tries++) {
    const accepted = once(server, 'connection');
    const socket = net.connect(server.address().port, '127.0.0.1');
    add(socket);
    await within('a connection to the sink', once(socket, 'connect'));
    await within('the sink to accept it', accepted);
    const found = ends.find((end) => end._handle && end._handle.fd === number);
    if (found) return found;
  }
  throw new Error(`none of 64 connections has the descriptor ${number}`);
}

/** Every way in which a socket ends. Each gets the server's lane and the peer's socket, and returns a promise if 'close' does not come. */
const ways = {
  'destroy': ({ socket }) => socket.destroy(),
  'destroy with an error': ({ socket }) => socket.destroy(new Error('enough')),
  'resetAndDestroy': ({ socket }) => socket.resetAndDestroy(),
  'end, and the end of the peer': ({ socket }, peer) => { socket.end(); peer.end(); },
  'destroySoon': ({ socket }) => socket.destroySoon(),
  'the end of the peer': ({ socket }, peer) => { socket.on('end', () => socket.end()); peer.end(); },
  'a reset by the peer': (_, peer) => peer.resetAndDestroy(),
  'a timeout': ({ socket }) => socket.setTimeout(1, () => socket.destroy()),
  'an abort signal': ({ socket }) => {
    const controller = new AbortController();
    require('node:stream').addAbortSignal(controller.signal, socket);
    controller.abort();
  },
  'destroy within a handler': ({ socket, owner }, peer) => {
    owner.on = () => socket.destroy();
    peer.write(Buffer.from('8180000000008180000000008180000000', 'hex'));
  },
  'a reset within a handler': ({ socket, owner }, peer) => {
    owner.on = () => socket.resetAndDestroy();
    peer.write(Buffer.from('818000000000', 'hex'));
  },
  'the handle alone': ({ socket }) => new Promise((resolve) => socket._handle.close(resolve)),
  'while it is paused': ({ socket, lane }) => { lane.pause(); socket.destroy(); },
  'detached before': ({ socket, lane }) => { lane.detach(() => new Error('not wanted')); socket.destroy(); },
  'while much waits': ({ socket, lane }, peer) => {
    peer.pause();
    for (let i = 0; i < 64; i++) lane.send(Buffer.alloc(1 << 18), true, null);
    socket.destroy();
  }
};

test('plain TCP sockets have the lane of this platform', async (t) => {
  const [accepted] = await sockets(t);
  assert.strictEqual(open(accepted, true).lane.kind, hasDescriptors ? 'fd' : 'stream');
});

for (const [name, end] of hasDescriptors ? Object.entries(ways) : []) {
  test(`nothing is written to a reused descriptor: ${name}`, async (t) => {
    const others = await sink(t);
    const [accepted, peer] = await sockets(t);
    const number = accepted._handle.fd;
    const lane = open(accepted, true);
    assert.strictEqual(lane.lane.kind, 'fd');
    peer.resume();
    lane.lane.send('before', false, null);
    const closed = once(accepted, 'close').catch(() => {});
    const ended = end(lane, peer);
    await within(`the socket to close (${name})`, ended instanceof Promise ? ended : closed);

    const other = await reuse(others, number);
    // A careless owner may still do all of this.
    const attempts = [
      () => lane.lane.send('after', false, null, () => {}),
      () => lane.lane.control(9, Buffer.from('after'), null, () => {}),
      () => lane.lane.flush(),
      () => lane.lane.resume(),
      () => accepted.write('after', () => {}),
      () => accepted.resume()
    ];
    for (const attempt of attempts) {
      try { attempt(); } catch { /* It may be told that the connection is gone. */ }
    }
    other.write('its own');
    await within('the bytes of the other socket', others.first);
    assert.strictEqual(Buffer.concat(others.received).toString(), 'its own');
  });
}
