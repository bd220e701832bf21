'use strict';

// The server's answers to requests, byte for byte, and the order of its checks.

const assert = require('node:assert');
const http = require('node:http');
const { test } = require('node:test');

const { ANSWER, REQUEST, WebSocket, connectRaw, event, masked, openRaw, serve, within } = require('./support/peers');

const without = (name) => REQUEST.filter((line) => !line.startsWith(name));
const instead = (name, line) => REQUEST.map((old) => (old.startsWith(name) ? line : old));

function refusal(status, body, ...headers) {
  return [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/html',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
    '',
    body
  ].join('\r\n');
}

const UPGRADE = refusal(400, 'Invalid Upgrade header');
const KEY = refusal(400, 'Missing or invalid Sec-WebSocket-Key header');
const VERSION = refusal(400, 'Missing or invalid Sec-WebSocket-Version header', 'Sec-WebSocket-Version: 13, 8');
const PROTOCOL = refusal(400, 'Invalid Sec-WebSocket-Protocol header');
const EXTENSIONS = refusal(400, 'Invalid or unacceptable Sec-WebSocket-Extensions header');

// Each request breaks the rule of its row and all the rules below, so that the rows are the order of the checks.
const BAD = ['Sec-WebSocket-Protocol: a, a', 'Sec-WebSocket-Extensions: ;'];
const ORDER = [
  ['the method', ['POST / HTTP/1.1', ...REQUEST.slice(1, 2), 'Upgrade: x', 'Connection: Upgrade', ...BAD],
    refusal(405, 'Invalid HTTP method')],
  ['Upgrade', ['GET /no HTTP/1.1', ...REQUEST.slice(1, 2), 'Upgrade: x', 'Connection: Upgrade', ...BAD], UPGRADE],
  ['the key', ['GET /no HTTP/1.1', ...REQUEST.slice(1, 4), 'Sec-WebSocket-Key: x', ...BAD], KEY],
  ['the version', ['GET /no HTTP/1.1', ...REQUEST.slice(1, 5), 'Sec-WebSocket-Version: 7', ...BAD], VERSION],
  ['the path', ['GET /no HTTP/1.1', ...REQUEST.slice(1), ...BAD], refusal(400, 'Bad Request')],
  ['the subprotocols', ['GET /yes?x HTTP/1.1', ...REQUEST.slice(1), ...BAD], PROTOCOL],
  ['the extensions', ['GET /yes HTTP/1.1', ...REQUEST.slice(1), BAD[1]], EXTENSIONS],
  ['verifyClient', ['GET /yes HTTP/1.1', ...REQUEST.slice(1)], refusal(401, 'Unauthorized')]
];

for (const [name, request, answer] of ORDER) {
  test(`a request is refused because of ${name}, before all that comes later`, async (t) => {
    const server = await serve(t, { path: '/yes', perMessageDeflate: true, verifyClient: () => false });
    server.on('connection', () => assert.fail('connection'));
    const raw = await connectRaw(t, server);
    raw.write([...request, '', ''].join('\r\n'));
    assert.strictEqual((await raw.rest()).toString(), answer);
  });
}

for (const [name, lines, answer] of [
  ['no Upgrade that can be read', null, UPGRADE],
  ['no key', without('Sec-WebSocket-Key'), KEY],
  ['a key that is too short', instead('Sec-WebSocket-Key', 'Sec-WebSocket-Key: P5l8BJcZwRc='), KEY],
  ['no version', without('Sec-WebSocket-Version'), VERSION],
  ['an empty list of subprotocols', [...REQUEST, 'Sec-WebSocket-Protocol:'], PROTOCOL],
  ['a subprotocol that is no token', [...REQUEST, 'Sec-WebSocket-Protocol: a;b'], PROTOCOL],
  ['an unknown parameter of permessage-deflate', [
    ...REQUEST,
    'Sec-WebSocket-Extensions: permessage-deflate; foo, permessage-deflate'
  ], EXTENSIONS],
  ['a parameter with a name from the prototype', [
    ...REQUEST,
    'Sec-WebSocket-Extensions: permessage-deflate; constructor'
  ], EXTENSIONS]
]) {
  test(`a request with ${name} is refused`, async (t) => {
    const server = await serve(t, { perMessageDeflate: true });
    // Node drops headers above `maxHeadersCount`, and `headers.upgrade` is missing then (CVE-2024-37890).
    if (lines === null) server._server.prependListener('upgrade', (req) => delete req.headers.upgrade);
    const raw = await connectRaw(t, server);
    raw.write([...(lines || REQUEST), '', ''].join('\r\n'));
    assert.strictEqual((await raw.rest()).toString(), answer);
  });
}

test('an accepted request is answered with four lines', async (t) => {
  const server = await serve(t);
  const { answer, req } = await openRaw(t, server);
  assert.strictEqual(answer, [...ANSWER, '', ''].join('\r\n'));
  assert.ok(req instanceof http.IncomingMessage);
});

test('the subprotocol and the extension follow in this order, and listeners of headers may add', async (t) => {
  const server = await serve(t, { perMessageDeflate: { serverMaxWindowBits: 10 } });
  server.on('headers', (headers, req) => headers.push(`X-Url: ${req.url}`));
  const { answer, websocket } = await openRaw(
    t,
    server,
    'Sec-WebSocket-Protocol: chat, superchat',
    'Sec-WebSocket-Extensions: foo, permessage-deflate; client_max_window_bits'
  );
  assert.deepStrictEqual(answer.split('\r\n'), [
    ...ANSWER,
    'Sec-WebSocket-Protocol: chat',
    'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10',
    'X-Url: /',
    '',
    ''
  ]);
  assert.strictEqual(websocket.protocol, 'chat');
  assert.strictEqual(websocket.extensions, 'permessage-deflate');
});

test('extensions are not read where permessage-deflate is off, and unknown ones are ignored', async (t) => {
  const off = await openRaw(t, await serve(t), 'Sec-WebSocket-Extensions: ;;');
  assert.strictEqual(off.answer, [...ANSWER, '', ''].join('\r\n'));
  const server = await serve(t, { perMessageDeflate: true });
  const unknown = await openRaw(t, server, 'Sec-WebSocket-Extensions: constructor; __proto__');
  assert.strictEqual(unknown.answer, [...ANSWER, '', ''].join('\r\n'));
  assert.strictEqual(unknown.websocket.extensions, '');
});

test('handleProtocols chooses, or declines with false, and is not asked if there is no choice', async (t) => {
  const asked = [];
  let choice = 'b';
  const server = await serve(t, {
    handleProtocols(protocols, req) {
      asked.push([[...protocols], req.url]);
      return choice;
    }
  });
  assert.strictEqual((await openRaw(t, server, 'Sec-WebSocket-Protocol: a,b')).websocket.protocol, 'b');
  choice = false;
  const { websocket, answer } = await openRaw(t, server, 'Sec-WebSocket-Protocol: a');
  assert.strictEqual(websocket.protocol, '');
  assert.strictEqual(answer, [...ANSWER, '', ''].join('\r\n'));
  await openRaw(t, server);
  assert.deepStrictEqual(asked, [[['a', 'b'], '/'], [['a'], '/']]);
});

test('verifyClient is told of origin, security and request, and refuses with what it says', async (t) => {
  const seen = [];
  const server = await serve(t, {
    verifyClient(info, callback) {
      seen.push([info.origin, info.secure, info.req.url]);
      setImmediate(callback, false, 403, 'go away', { 'Retry-After': 120 });
    }
  });
  const raw = await connectRaw(t, server);
  raw.write([...instead('Sec-WebSocket-Version', 'Sec-WebSocket-Version: 8'), 'Sec-WebSocket-Origin: o', '', ''].join('\r\n'));
  assert.strictEqual((await raw.rest()).toString(), refusal(403, 'go away', 'Retry-After: 120'));
  assert.deepStrictEqual(seen, [['o', false, '/']]);
});

test('a listener of wsClientError answers in place of the server', async (t) => {
  const server = await serve(t);
  server.on('wsClientError', (error, socket, req) => socket.end(`HTTP/1.1 418 ${error.message} ${req.method}\r\n\r\n`));
  const raw = await connectRaw(t, server);
  raw.write([...without('Sec-WebSocket-Key'), '', ''].join('\r\n'));
  assert.strictEqual(
    (await raw.rest()).toString(),
    'HTTP/1.1 418 Missing or invalid Sec-WebSocket-Key header GET\r\n\r\n'
  );
});

test('a plain request to a server with a port is answered with 426', async (t) => {
  const server = await serve(t);
  const raw = await connectRaw(t, server);
  raw.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const answer = (await raw.rest()).toString().replace(/Date: .*\r\n/, '');
  assert.strictEqual(
    answer,
    'HTTP/1.1 426 Upgrade Required\r\nContent-Length: 16\r\nContent-Type: text/plain\r\n' +
      'Connection: close\r\n\r\nUpgrade Required'
  );
});

test('a server that closes refuses with 503', async (t) => {
  const wss = new WebSocket.Server({ noServer: true });
  const server = http.createServer();
  server.on('upgrade', (req, socket, head) => {
    wss.close();
    wss.handleUpgrade(req, socket, head, () => assert.fail('accepted'));
  });
  t.after(() => server.close());
  await event(server.listen(0, '127.0.0.1'), 'listening');
  const raw = await connectRaw(t, server);
  raw.write([...REQUEST, '', ''].join('\r\n'));
  assert.strictEqual((await raw.rest()).toString(), refusal(503, 'Service Unavailable'));
});

test('a socket that ended while verifyClient thought is destroyed without a connection', async (t) => {
  let decide;
  const server = await serve(t, { verifyClient: (info, callback) => (decide = { callback, info }) });
  server.on('connection', () => assert.fail('connection'));
  const raw = await connectRaw(t, server);
  raw.write([...REQUEST, '', ''].join('\r\n'));
  raw.socket.end();
  while (!decide) await new Promise(setImmediate);
  const { socket } = decide.info.req;
  if (socket.readable) await event(socket, 'end');
  decide.callback(true);
  assert.strictEqual((await raw.rest()).length, 0);
});

test('a request that was made up by a program may have its version as a number', async (t) => {
  const server = await serve(t);
  server._server.prependListener('upgrade', ({ headers }) => (headers['sec-websocket-version'] = 13));
  assert.strictEqual((await openRaw(t, server)).answer, [...ANSWER, '', ''].join('\r\n'));
});

test('a message that came with the request is delivered after the connection', async (t) => {
  const server = await serve(t);
  const raw = await connectRaw(t, server);
  const message = new Promise((resolve) => {
    server.on('connection', (websocket) => websocket.on('message', (data, isBinary) => resolve(`${data} ${isBinary}`)));
  });
  raw.write([...REQUEST, '', ''].join('\r\n'), masked(0x81, 'early'));
  assert.strictEqual(await within('the message', message), 'early false');
});
