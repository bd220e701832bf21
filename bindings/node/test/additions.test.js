'use strict';

// Additions to npm's ws: broadcast, drain, keepalive, maxBuffered, origins and trustedProxies. All of it is off by default.

const assert = require('node:assert');
const https = require('node:https');
const { test } = require('node:test');
const zlib = require('node:zlib');

const { certificate } = require('./support/certificate');
const { REQUEST, WebSocket, closing, connectRaw, event, masked, openRaw, pair, plain } = require('./support/peers');
const { record, serve, whenClosed, within } = require('./support/peers');

test('broadcast sends to all that are open, but those left out, and counts', async (t) => {
  const server = await serve(t);
  const ends = [];
  for (let i = 0; i < 4; i++) ends.push(await openRaw(t, server));
  ends[3].websocket.close();
  assert.strictEqual(server.broadcast('a'), 3);
  assert.strictEqual(server.broadcast('b', { except: ends[0].websocket }), 2);
  assert.strictEqual(server.broadcast(Buffer.from('c'), { except: new Set([ends[1].websocket, ends[2].websocket]) }), 1);
  assert.strictEqual(server.broadcast('d', { binary: true }), 3);
  assert.strictEqual(server.broadcast(5), 3);
  assert.strictEqual(server.broadcast(undefined), 3);
  const common = [plain(0x82, 'd'), plain(0x81, '5'), plain(0x82)];
  for (const [index, own] of [
    [plain(0x81, 'a'), plain(0x82, 'c')],
    [plain(0x81, 'a'), plain(0x81, 'b')],
    [plain(0x81, 'a'), plain(0x81, 'b')],
    [plain(0x88)]
  ].entries()) {
    const expected = Buffer.concat(index === 3 ? own : [...own, ...common]);
    assert.deepStrictEqual(await ends[index].raw.read(expected.length), expected, `client ${index}`);
  }
});

test('broadcast keeps its place among the other sends, and does not break into a message in fragments', async (t) => {
  const server = await serve(t);
  const { raw, websocket } = await openRaw(t, server);
  websocket.send('1');
  server.broadcast('2');
  websocket.send('3', { fin: false });
  server.broadcast('5');
  websocket.send('4');
  const expected = Buffer.concat([
    plain(0x81, '1'),
    plain(0x81, '2'),
    plain(0x01, '3'),
    plain(0x80, '4'),
    plain(0x81, '5')
  ]);
  assert.deepStrictEqual(await raw.read(expected.length), expected);
});

test('broadcast compresses once for all whose messages stand alone, and not for the others', async (t) => {
  const text = 'all the same '.repeat(200);
  const server = await serve(t, { perMessageDeflate: true });
  const alone = await openRaw(t, server, 'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover');
  const small = await openRaw(
    t,
    server,
    'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=9'
  );
  const chained = await openRaw(t, server, 'Sec-WebSocket-Extensions: permessage-deflate');
  const none = await openRaw(t, server);
  let count = 0;
  const { deflateRawSync } = zlib;
  t.after(() => (zlib.deflateRawSync = deflateRawSync));
  zlib.deflateRawSync = (...args) => {
    count++;
    return deflateRawSync(...args);
  };
  server.broadcast(text);
  server.broadcast(text, { compress: false });
  assert.strictEqual(count, 2, 'once for each size of window');
  for (const { raw } of [alone, small]) {
    const [first, second] = await raw.read(2);
    assert.strictEqual(first, 0xc1);
    assert.ok(second < 126);
    const inflated = zlib.inflateRawSync(Buffer.concat([await raw.read(second), Buffer.from('0000ffff', 'hex')]), {
      finishFlush: zlib.constants.Z_SYNC_FLUSH
    });
    assert.strictEqual(String(inflated), text);
    assert.deepStrictEqual(await raw.read(4 + text.length), plain(0x81, text));
  }
  for (const { raw } of [chained, none]) {
    assert.deepStrictEqual(await raw.read(2 * (4 + text.length)), Buffer.concat([plain(0x81, text), plain(0x81, text)]));
  }
});

test('messages and broadcasts mixed are inflated by a client with and without context takeover', async (t) => {
  const text = 'some text that repeats, some text that repeats; ';
  for (const serverNoContextTakeover of [true, false]) {
    const { server, websocket, client } = await pair(
      t,
      { perMessageDeflate: { serverNoContextTakeover, threshold: 0 } },
      { perMessageDeflate: true }
    );
    const seen = [];
    client.on('message', (data) => seen.push(String(data)));
    for (let i = 0; i < 20; i++) {
      websocket.send(text + i);
      server.broadcast(text + i);
    }
    websocket.close();
    await whenClosed(client);
    assert.deepStrictEqual(seen, Array.from({ length: 40 }, (_, i) => text + (i >> 1)));
  }
});

test('broadcast and drain say that they need clientTracking', async (t) => {
  const server = await serve(t, { clientTracking: false });
  for (const method of ['broadcast', 'drain']) assert.throws(() => server[method]('x'), /"clientTracking" option is off/);
});

test('drain closes all with 1001, and terminates those that do not answer', async (t) => {
  const server = await serve(t);
  const polite = new WebSocket(`ws://127.0.0.1:${server.address().port}`);
  const lines = record(polite);
  await event(polite, 'open');
  const deaf = await openRaw(t, server);
  const silent = await connectRaw(t, server);
  assert.strictEqual(await within('the drain', server.drain(100)), 1);
  assert.deepStrictEqual(lines.slice(1), ['close 1001']);
  assert.deepStrictEqual(await deaf.raw.rest(), plain(0x88, closing(1001)));
  await silent.rest();
  assert.strictEqual(server.clients.size, 0);
  assert.strictEqual(await within('the second drain', server.drain()), 0);
});

test('drain takes no further connections meanwhile', async (t) => {
  const server = await serve(t);
  const { raw, websocket } = await openRaw(t, server);
  const done = server.drain();
  assert.strictEqual(server.address(), null);
  assert.deepStrictEqual(await raw.read(4), plain(0x88, closing(1001)));
  raw.write(masked(0x88, closing(1001)));
  assert.strictEqual(await within('the drain', done), 0);
  assert.strictEqual(websocket.readyState, WebSocket.CLOSED);
});

test('keepalive pings a silent peer, and terminates one that stays silent', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { keepalive: { interval: 40, timeout: 60 } }));
  const lines = record(websocket);
  assert.deepStrictEqual(await raw.read(2), plain(0x89));
  raw.write(masked(0x8a));
  assert.deepStrictEqual(await raw.read(2), plain(0x89));
  await raw.rest();
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['pong', 'close 1006']);
});

test('keepalive: a peer that answers stays, on both ends', async (t) => {
  const keepalive = { interval: 20 };
  const { websocket, client } = await pair(t, { keepalive }, { keepalive });
  let pings = 0;
  await within('ten pings', new Promise((resolve) => {
    for (const one of [websocket, client]) {
      one.on('ping', () => {
        if (++pings === 10) resolve();
      });
    }
  }));
  assert.deepStrictEqual([websocket.readyState, client.readyState], [WebSocket.OPEN, WebSocket.OPEN]);
});

test('keepalive does not blame the peer of a program that has paused', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { keepalive: { interval: 10, timeout: 10 } }));
  websocket.pause();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.strictEqual(websocket.readyState, WebSocket.OPEN);
  websocket.resume();
  await raw.rest();
  assert.ok(raw.isEnded);
});

// Sends until something has to wait in this process.
function fill(websocket, limit) {
  const data = Buffer.alloc(64 * 1024);
  for (let sent = 0; websocket.bufferedAmount <= limit; sent++) {
    assert.ok(sent < 10000, 'the kernel takes all');
    websocket.send(data);
  }
}

test('maxBuffered: close terminates when more waits, and the callback says why', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { maxBuffered: 1024 * 1024 }));
  raw.socket.pause();
  fill(websocket, 1024 * 1024);
  const failed = within('the callback', new Promise((resolve) => websocket.send('one more', resolve)));
  assert.strictEqual(websocket.readyState, WebSocket.CLOSING);
  assert.strictEqual((await failed).code, 'ROPEWAY_ERR_MAX_BUFFERED');
  await whenClosed(websocket);
});

test('maxBuffered: drop leaves messages out until the peer has read', async (t) => {
  const server = await serve(t, { maxBuffered: { bytes: 1024 * 1024, then: 'drop' } });
  const { raw, websocket } = await openRaw(t, server);
  raw.socket.pause();
  fill(websocket, 1024 * 1024);
  const failed = within('the callback', new Promise((resolve) => websocket.send('dropped', resolve)));
  assert.strictEqual((await failed).code, 'ROPEWAY_ERR_MAX_BUFFERED');
  assert.strictEqual(server.broadcast('dropped too'), 0);
  assert.strictEqual(websocket.readyState, WebSocket.OPEN);
  const written = event(websocket._socket, 'drain');
  raw.socket.resume();
  await written;
  websocket.send('sent');
  websocket.close(1000);
  const all = await raw.until(() => raw.bytes.subarray(-4).equals(plain(0x88, closing(1000))), 'the close frame');
  assert.strictEqual(all, undefined);
  assert.ok(raw.bytes.subarray(-10).equals(Buffer.concat([plain(0x81, 'sent'), plain(0x88, closing(1000))])));
  assert.strictEqual(raw.bytes.includes('dropped'), false);
});

test('maxBuffered: drop leaves out whole messages, never a part of one', async (t) => {
  const limit = 1024 * 1024;
  const { raw, websocket } = await openRaw(t, await serve(t, { maxBuffered: { bytes: limit, then: 'drop' } }));
  raw.socket.pause();
  const part = Buffer.alloc(64 * 1024);
  let parts = 0;
  // This message has begun before the limit is reached.
  for (; websocket.bufferedAmount <= limit; parts++) websocket.send(part, { fin: false });
  websocket.send(part);
  const codes = [];
  const dropped = within('two callbacks', new Promise((resolve) => {
    const note = ({ code }) => codes.push(code) === 2 && resolve();
    websocket.send('first', { fin: false }, note);
    websocket.send('last', note);
  }));
  await dropped;
  assert.deepStrictEqual(codes, ['ROPEWAY_ERR_MAX_BUFFERED', 'ROPEWAY_ERR_MAX_BUFFERED']);
  const written = event(websocket._socket, 'drain');
  raw.socket.resume();
  await written;
  websocket.send('sent');
  const end = plain(0x81, 'sent');
  await raw.until(() => raw.bytes.subarray(-end.length).equals(end), 'the last message');
  // Each of the fragments has a header of 10 bytes.
  assert.strictEqual(raw.bytes.length, (parts + 1) * (10 + part.length) + end.length);
});

for (const [origins, host, origin, isAllowed] of [
  ['same', 'example.com', 'http://example.com', true],
  ['same', 'example.com:80', 'http://EXAMPLE.com', true],
  ['same', 'example.com', undefined, true],
  ['same', 'example.com', 'https://example.com', true],
  ['same', 'example.com:443', 'https://example.com', true],
  ['same', 'example.com:443', 'http://example.com', false],
  ['same', 'example.com', 'chrome-extension://example.com', false],
  ['same', 'example.com', 'http://example.com:81', false],
  ['same', 'example.com', 'http://evil.com', false],
  ['same', 'example.com', 'null', false],
  ['same', 'null', 'null', false],
  ['same', 'no host', 'null', false],
  [['https://a.com', 'http://b.com:8080'], 'x', 'https://A.com', true],
  [['https://a.com', 'http://b.com:8080'], 'x', 'http://b.com', false],
  [[], 'x', 'http://x', false],
  [null, 'x', 'http://evil.com', true]
]) {
  test(`origins ${JSON.stringify(origins)}: ${origin} at ${host} is ${isAllowed ? 'let in' : 'refused'}`, async (t) => {
    const server = await serve(t, { origins });
    const raw = await connectRaw(t, server);
    const lines = REQUEST.map((line) => (line.startsWith('Host') ? `Host: ${host}` : line));
    raw.write([...lines, ...(origin ? [`Origin: ${origin}`] : []), '', ''].join('\r\n'));
    assert.match(await raw.head(), isAllowed ? /^HTTP\/1.1 101 / : /^HTTP\/1.1 403 Forbidden\r\n/);
  });
}

test('behind a trusted proxy an origin is compared with what the proxy saw, and without trust with the request', async (t) => {
  for (const [trustedProxies, forwarded, origin, isAllowed] of [
    [['127.0.0.0/8'], ['X-Forwarded-Host: a.test', 'X-Forwarded-Proto: https'], 'https://a.test', true],
    [['127.0.0.0/8'], ['X-Forwarded-Host: a.test', 'X-Forwarded-Proto: https'], 'http://a.test', false],
    [['127.0.0.0/8'], ['X-Forwarded-Host: a.test', 'X-Forwarded-Proto: https'], 'https://localhost', false],
    [['127.0.0.1'], ['X-Forwarded-Proto: https'], 'https://localhost', true],
    [['10.0.0.1'], ['X-Forwarded-Host: a.test', 'X-Forwarded-Proto: https'], 'https://a.test', false],
    [null, ['X-Forwarded-Host: a.test', 'X-Forwarded-Proto: https'], 'https://a.test', false]
  ]) {
    const raw = await connectRaw(t, await serve(t, { origins: 'same', trustedProxies }));
    raw.write([...REQUEST, ...forwarded, `Origin: ${origin}`, '', ''].join('\r\n'));
    const status = isAllowed ? 101 : 403;
    assert.ok((await raw.head()).startsWith(`HTTP/1.1 ${status} `), JSON.stringify({ trustedProxies, forwarded, origin, isAllowed }));
  }
});

test('over TLS an origin has to be https', async (t) => {
  const listening = https.createServer(certificate());
  const server = new WebSocket.Server({ server: listening, origins: 'same' });
  t.after(() => {
    for (const client of server.clients) client.terminate();
    listening.close();
  });
  listening.listen(0, '127.0.0.1');
  await event(listening, 'listening');
  const { port } = listening.address();
  for (const [scheme, outcome] of [['https', 'open'], ['http', 'Unexpected server response: 403']]) {
    const client = new WebSocket(`wss://127.0.0.1:${port}`, { origin: `${scheme}://127.0.0.1:${port}`, rejectUnauthorized: false });
    const end = await within('the answer', new Promise((resolve) => {
      client.on('open', () => resolve('open'));
      client.on('error', ({ message }) => resolve(message));
    }));
    assert.strictEqual(end, outcome);
    client.terminate();
  }
});

test('additions that make no sense are refused when they are set', () => {
  for (const options of [
    { origins: 'other' },
    { origins: ['https://a.com', 1] },
    { trustedProxies: '10.0.0.1' },
    { trustedProxies: ['10.0.0.0/33'] },
    { trustedProxies: ['10.0.0.0/8/8'] },
    { trustedProxies: ['10.0.0.0/'] },
    { trustedProxies: ['localhost'] },
    { trustedProxies: [7] },
    { keepalive: {} },
    { keepalive: { interval: 10, timeout: 0 } },
    { maxBuffered: { bytes: 1, then: 'wait' } },
    { maxBuffered: { then: 'drop' } }
  ]) {
    assert.throws(() => new WebSocket.Server({ noServer: true, ...options }), TypeError, JSON.stringify(options));
  }
  assert.throws(() => new WebSocket('ws://x', { keepalive: {} }), TypeError);
});
