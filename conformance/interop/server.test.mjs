// The npm package `ws` as a client of `ropeway serve`.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { before, test } from 'node:test';
import WebSocket from 'ws';
import { DEADLINE, serve } from './ropeway.mjs';

const MIB = 1 << 20;
const options = { timeout: DEADLINE };
let server;
let takeover;

before(async () => {
  [server, takeover] = await Promise.all([serve(), serve('--deflate', 'takeover')]);
});

// An open connection whose messages are queued from the first one on, so that none is missed.
async function open(url, settings = {}) {
  const ws = new WebSocket(url, { perMessageDeflate: false, ...settings });
  const queue = [];
  const waiting = [];
  const deliver = (message) => (waiting.length ? waiting.shift()(message) : queue.push(message));
  ws.on('message', (data, isBinary) => deliver(isBinary ? data : data.toString()));
  ws.receive = () => (queue.length ? queue.shift() : new Promise((resolve) => waiting.push(resolve)));
  await once(ws, 'open');
  return ws;
}

async function closed(ws) {
  const [code, reason] = await once(ws, 'close');
  return [code, reason.toString()];
}

async function echoes(ws, message) {
  ws.send(message);
  assert.deepEqual(await ws.receive(), message);
}

test('text, binary and empty messages come back as what they were', options, async () => {
  for (const path of ['/', '/echo']) {
    const ws = await open(server.ws(path));
    for (const message of ['hello', 'grüß Gott, 🚡', '', Buffer.from([0, 255, 128]), Buffer.alloc(0), randomBytes(MIB)]) {
      await echoes(ws, message);
    }
    ws.close();
    await closed(ws);
  }
});

test('a fragmented message comes back whole, also around a ping', options, async () => {
  const ws = await open(server.ws('/echo'));
  ws.send('eine ', { fin: false });
  ws.ping('in between');
  ws.send('', { fin: false });
  ws.send('Seilbahn', { fin: true });
  const [pong] = await once(ws, 'pong');
  assert.equal(pong.toString(), 'in between');
  assert.equal(await ws.receive(), 'eine Seilbahn');
  ws.close();
  await closed(ws);
});

test('a ping is answered with its payload', options, async () => {
  const ws = await open(server.ws('/echo'));
  for (const payload of ['', 'are you there?', 'x'.repeat(125)]) {
    ws.ping(payload);
    const [pong] = await once(ws, 'pong');
    assert.equal(pong.toString(), payload);
  }
  ws.terminate();
});

test('a burst of a thousand messages comes back in order', options, async () => {
  const ws = await open(server.ws('/echo'));
  const messages = Array.from({ length: 1000 }, (_, number) => `message ${number}`);
  for (const message of messages) ws.send(message);
  for (const message of messages) assert.equal(await ws.receive(), message);
  ws.close();
  await closed(ws);
});

test('the close code comes back, and none for none', options, async () => {
  for (const code of [1000, 1001, 1003, 1007, 1011, 3000, 4999]) {
    const ws = await open(server.ws('/echo'));
    ws.close(code, 'bis später');
    assert.equal((await closed(ws))[0], code);
  }
  const ws = await open(server.ws('/echo'));
  ws.close();
  assert.deepEqual(await closed(ws), [1005, '']);
});

test('a message above the limit is closed with 1009 and a reason', options, async () => {
  const ws = await open(server.ws('/echo'));
  ws.send(Buffer.alloc(16 * MIB));
  assert.equal((await ws.receive()).length, 16 * MIB);
  ws.send(Buffer.alloc(16 * MIB + 1));
  const [code, reason] = await closed(ws);
  assert.equal(code, 1009);
  assert.notEqual(reason, '');
});

test('with compression messages come back the same', options, async () => {
  const compressed = [
    [server.ws('/deflate'), true],
    [takeover.ws('/echo'), true],
    [server.ws('/echo'), false],
  ];
  for (const [url, negotiated] of compressed) {
    for (const perMessageDeflate of [true, { clientMaxWindowBits: 9, serverMaxWindowBits: 9 }, { threshold: 0 }]) {
      const ws = await open(url, { perMessageDeflate });
      assert.equal(ws.extensions, negotiated ? 'permessage-deflate' : '');
      for (const message of ['ropeway '.repeat(5000), randomBytes(100_000), '', 'x', Buffer.alloc(MIB)]) {
        await echoes(ws, message);
        await echoes(ws, message);
      }
      ws.close();
      await closed(ws);
    }
  }
});

test('Ctrl-C closes with 1001', options, async () => {
  const ending = await serve();
  const ws = await open(ending.ws('/echo'));
  ending.interrupt();
  assert.equal((await closed(ws))[0], 1001);
  assert.equal(await ending.ended, 0);
});
