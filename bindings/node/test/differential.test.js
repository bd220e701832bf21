'use strict';

// Random conversations between npm's ws and ropeway, as client and as server, in all four pairings; plain, over TLS, and with
// compression. Each end must hear what the other said, in its order. A failure names its seed: SEED=… runs it again.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const { test } = require('node:test');

const { certificate } = require('./support/certificate');

const PACKAGES = { ws: require('ws'), ropeway: require('..') };
const TRANSPORTS = { plain: false, tls: true };
const COMPRESSIONS = {
  uncompressed: false,
  compressed: { threshold: 0 },
  'compressed alone': { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 100 }
};
const ENDS = ['client closes', 'server closes', 'client is cut', 'server is cut'];

// Nothing here takes a second on an idle machine. A test that reaches this limit has found a hang.
const DEADLINE = 60_000;
const FIRST = Number(process.env.SEED ?? crypto.randomInt(1e9));

const LENGTHS = [0, 1, 2, 125, 126, 127, 1000, 4096, 65535, 65536, 65537, 200_000];

let seed = FIRST;
for (const server of Object.keys(PACKAGES)) {
  for (const client of Object.keys(PACKAGES)) {
    for (const transport of Object.keys(TRANSPORTS)) {
      for (const compression of Object.keys(COMPRESSIONS)) {
        for (const end of ENDS) {
          const given = process.env.SEED ? FIRST : seed++;
          test(`${client} to ${server}, ${transport}, ${compression}, ${end} (SEED=${given})`, { timeout: DEADLINE }, () =>
            converse({ server: PACKAGES[server], client: PACKAGES[client], isTls: TRANSPORTS[transport], perMessageDeflate: COMPRESSIONS[compression], end }, given));
        }
      }
    }
  }
}

async function converse({ server, client, isTls, perMessageDeflate, end }, seed) {
  // Each has numbers of its own, so that the order in which things happen changes nothing that is said.
  const [next, ...others] = [0, 1, 2, 3, 4].map((index) => random(seed * 5 + index));
  const listening = isTls ? https.createServer(certificate()) : http.createServer();
  const wss = new server.WebSocketServer({ server: listening, perMessageDeflate });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const near = new client.WebSocket(`${isTls ? 'wss' : 'ws'}://127.0.0.1:${listening.address().port}/`, {
    perMessageDeflate, rejectUnauthorized: false, checkServerIdentity: () => undefined
  });
  // The listeners are there before anything can come.
  const opened = once(wss, 'connection').then(([ws]) => heardBy(ws, others[0]));
  const here = heardBy(near, others[1]);
  try {
    const [there] = await Promise.all([opened, once(near, 'open')]);
    assert.equal(near.extensions, perMessageDeflate ? 'permessage-deflate' : '');
    const scripts = { near: script(next), far: script(next) };
    await Promise.all([say(here.ws, scripts.near, others[2]), say(there.ws, scripts.far, others[3])]);

    const [ending, other] = end.startsWith('client') ? [here, there] : [there, here];
    if (end.endsWith('closes')) {
      const [code, reason] = [pick(next, [1000, 1001, 1013, 3000, 4999]), text(next, 40)];
      ending.ws.close(code, reason);
      await Promise.all([here.closed, there.closed]);
      const told = [code, reason];
      assert.deepEqual({ here: await here.closed, there: await there.closed }, { here: told, there: told });
      same(here.heard, scripts.far, 'the client heard');
      same(there.heard, scripts.near, 'the server heard');
    } else {
      ending.ws.terminate();
      assert.deepEqual([await other.closed, await ending.closed], [[1006, ''], [1006, '']]);
      beginning(here.heard, scripts.far, 'the client heard');
      beginning(there.heard, scripts.near, 'the server heard');
    }
    const pings = (said) => said.filter(({ kind }) => kind === 'ping').length;
    assert.ok(here.pongs.length <= pings(scripts.near) && there.pongs.length <= pings(scripts.far), 'no pong without a ping');
    assert.deepEqual([here.errors, there.errors], [[], []]);
  } finally {
    near.terminate();
    for (const ws of wss.clients) ws.terminate();
    listening.close();
    await once(listening, 'close');
  }
}

// The events that an end hears, from the moment that it exists. It pauses now and then.
function heardBy(ws, next) {
  const end = { ws, heard: [], pongs: [], errors: [] };
  ws.on('message', (data, isBinary) => {
    end.heard.push({ kind: 'message', isBinary, data: digest(data) });
    if (next() < 0.05) {
      ws.pause();
      setImmediate(() => ws.resume());
    }
  });
  ws.on('ping', (data) => end.heard.push({ kind: 'ping', data: digest(data) }));
  ws.on('pong', (data) => end.pongs.push(digest(data)));
  ws.on('error', (error) => end.errors.push(`${error.code}: ${error.message}`));
  end.closed = once(ws, 'close').then(([code, reason]) => [code, reason.toString()]);
  return end;
}

function script(next) {
  return Array.from({ length: 20 + Math.floor(next() * 40) }, () => {
    const at = next();
    if (at < 0.15) return { kind: 'ping', data: Buffer.from(text(next, 30)) };
    const isBinary = next() < 0.5;
    const length = pick(next, LENGTHS);
    const data = isBinary ? bytes(next, length) : Buffer.from(text(next, length));
    const parts = at < 0.35 ? 2 + Math.floor(next() * 4) : 1;
    return { kind: 'message', isBinary, data, parts, compress: next() < 0.8 };
  });
}

async function say(ws, lines, next) {
  for (const { kind, isBinary, data, parts, compress } of lines) {
    if (kind === 'ping') {
      ws.ping(data);
    } else {
      const cuts = [0, ...Array.from({ length: parts - 1 }, () => Math.floor(next() * (data.length + 1))).sort((a, b) => a - b), data.length];
      for (let part = 0; part < parts; part++) {
        ws.send(data.subarray(cuts[part], cuts[part + 1]), { binary: isBinary, compress, fin: part === parts - 1 });
      }
    }
    if (next() < 0.3) await new Promise(setImmediate);
  }
}

function same(heard, said, who) {
  assert.deepEqual(heard, said.map(asHeard), who);
}

function beginning(heard, said, who) {
  assert.deepEqual(heard, said.map(asHeard).slice(0, heard.length), who);
}

const asHeard = ({ kind, isBinary, data }) => (kind === 'ping' ? { kind, data: digest(data) } : { kind, isBinary, data: digest(data) });
const digest = (data) => `${data.length} ${crypto.createHash('sha1').update(data).digest('hex')}`;
const pick = (next, list) => list[Math.floor(next() * list.length)];

// Half of it repeats, so that compression has something to do.
function bytes(next, length) {
  const data = Buffer.alloc(length, 'ropeway ');
  for (let at = 0; at < length; at += 2) data[at] = next() * 256;
  return data;
}

function text(next, length) {
  const word = pick(next, ['ropeway ', 'grüß ', '🚡', '\u0000', 'Seilbahn']);
  const fits = Math.floor(length / Buffer.byteLength(word));
  return word.repeat(fits) + 'x'.repeat(length - fits * Buffer.byteLength(word));
}

// Numbers from 0 to 1, the same for a seed (mulberry32, which is in the public domain).
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
