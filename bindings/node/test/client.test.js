'use strict';

// The client: its request, its judgement of the answer, redirects, and what a redirect does not learn.

const assert = require('node:assert');
const { createHash } = require('node:crypto');
const http = require('node:http');
const { test } = require('node:test');

const { ANSWER, ACCEPT, WebSocket, event, record, serve, serveRaw, whenClosed, within } = require('./support/peers');

function accept(key) {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

// An answer to the key of the request; with other headers instead of it, or behind it.
function answer(key, ...headers) {
  return [...ANSWER.map((line) => line.replace(ACCEPT, accept(key))), ...headers, '', ''].join('\r\n');
}

function redirect(location, status = 302) {
  return `HTTP/1.1 ${status} Moved\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`;
}

function client(t, ...args) {
  const websocket = new WebSocket(...args);
  t.after(() => {
    websocket.on('error', () => {});
    websocket.terminate();
  });
  return websocket;
}

const plainRequest = (request) => request.replace(/(Sec-WebSocket-Key: ).{22}==/, '$1(key)').replace(/:\d{2,5}\r\n/, ':(port)\r\n');

test('the request, byte for byte', async (t) => {
  const { url, requests } = await serveRaw(t, (key) => answer(key, 'Sec-WebSocket-Protocol: b'));
  const websocket = client(t, `${url}path?query`, ['a', 'b'], { headers: { 'X-First': '1' }, origin: 'http://o' });
  await event(websocket, 'open');
  assert.deepStrictEqual(plainRequest(requests[0]).split('\r\n'), [
    'GET /path?query HTTP/1.1',
    'X-First: 1',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: (key)',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
    'Sec-WebSocket-Protocol: a,b',
    'Origin: http://o',
    'Host: 127.0.0.1:(port)',
    '',
    ''
  ]);
  assert.strictEqual(websocket.protocol, 'b');
  assert.strictEqual(websocket.extensions, '');
  assert.strictEqual(websocket.url, `${url}path?query`);
});

test('version 8 sends its own name of the origin, and credentials come from the address first', async (t) => {
  const { port, requests } = await serveRaw(t, (key) => answer(key));
  const options = { protocolVersion: 8, origin: 'o', perMessageDeflate: false, auth: 'from:option' };
  await event(client(t, `ws://us%40er:pw@127.0.0.1:${port}`, options), 'open');
  assert.match(requests[0], /\r\nSec-WebSocket-Version: 8\r\n/);
  assert.match(requests[0], /\r\nSec-WebSocket-Origin: o\r\n/);
  assert.match(requests[0], new RegExp(`\r\nAuthorization: Basic ${Buffer.from('us@er:pw').toString('base64')}\r\n`));
  assert.doesNotMatch(requests[0], /Extensions/);
});

for (const [name, args, error] of [
  ['an address that is none', ['foo'], 'SyntaxError: Invalid URL: foo'],
  ['another scheme', ['ftp://x'],
    'SyntaxError: The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"'],
  ['no socket in the address', ['ws+unix:'], "SyntaxError: The URL's pathname is empty"],
  ['a fragment', ['ws://x#y'], 'SyntaxError: The URL contains a fragment identifier'],
  ['a subprotocol twice', ['ws://x', ['a', 'a']], 'SyntaxError: An invalid or duplicated subprotocol was specified'],
  ['a subprotocol that is no token', ['ws://x', 'a b'], 'SyntaxError: An invalid or duplicated subprotocol was specified'],
  ['an unknown version', ['ws://x', { protocolVersion: 7 }],
    'RangeError: Unsupported protocol version: 7 (supported versions: 8, 13)']
]) {
  test(`${name} is thrown at once`, () => {
    assert.throws(() => new WebSocket(...args), (thrown) => String(thrown) === error);
  });
}

for (const [name, make, options, error] of [
  ['a wrong Upgrade', (key) => answer(key).replace('Upgrade: websocket', 'Upgrade: x'), {}, 'Invalid Upgrade header'],
  ['a wrong accept', (key) => answer(key).replace(accept(key), ACCEPT), {}, 'Invalid Sec-WebSocket-Accept header'],
  ['no accept', () => ANSWER.slice(0, 3).join('\r\n') + '\r\n\r\n', {}, 'Invalid Sec-WebSocket-Accept header'],
  ['a subprotocol that nobody wanted', (key) => answer(key, 'Sec-WebSocket-Protocol: a'), {},
    'Server sent a subprotocol but none was requested'],
  ['another subprotocol', (key) => answer(key, 'Sec-WebSocket-Protocol: b'), { protocols: ['a'] },
    'Server sent an invalid subprotocol'],
  ['no subprotocol', (key) => answer(key), { protocols: ['a'] }, 'Server sent no subprotocol'],
  ['an extension that nobody wanted', (key) => answer(key, 'Sec-WebSocket-Extensions: permessage-deflate'),
    { perMessageDeflate: false }, 'Server sent a Sec-WebSocket-Extensions header but no extension was requested'],
  ['another extension', (key) => answer(key, 'Sec-WebSocket-Extensions: permessage-deflate, foo'), {},
    'Server indicated an extension that was not requested'],
  ['extensions that are no list', (key) => answer(key, 'Sec-WebSocket-Extensions: ;='), {},
    'Invalid Sec-WebSocket-Extensions header'],
  ['a window that is too large', (key) => answer(key, 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12'),
    { perMessageDeflate: { clientMaxWindowBits: 10 } }, 'Invalid Sec-WebSocket-Extensions header'],
  ['another status', () => 'HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n', {}, 'Unexpected server response: 401'],
  ['a redirect, which is not followed by default', () => redirect('/'), {}, 'Unexpected server response: 302'],
  ['no HTTP', () => 'nonsense\r\n\r\n', {}, 'HPE_INVALID_CONSTANT']
]) {
  test(`${name} fails the connection: error, then close`, async (t) => {
    const { url } = await serveRaw(t, make);
    const { protocols, ...rest } = options;
    const websocket = client(t, url, protocols || [], rest);
    const lines = record(websocket);
    await whenClosed(websocket);
    assert.deepStrictEqual(lines, [`error ${error}`, 'close 1006']);
    assert.strictEqual(websocket.readyState, WebSocket.CLOSED);
  });
}

test('a header that Node has dropped is a missing one (CVE-2024-37890)', async (t) => {
  const { url } = await serveRaw(t, (key) => answer(key, 'X: y'));
  const websocket = client(t, url);
  websocket._req.maxHeadersCount = 1;
  websocket.once('upgrade', (res) => assert.deepStrictEqual(Object.keys(res.headers), ['upgrade']));
  const lines = record(websocket);
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['error Invalid Sec-WebSocket-Accept header', 'close 1006']);
});

test('unexpected-response hands the response over, and nothing else happens until close', async (t) => {
  const { url } = await serveRaw(t, () => 'HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nhi');
  const websocket = client(t, url);
  const lines = record(websocket);
  const [req, res] = await event(websocket, 'unexpected-response');
  assert.ok(req instanceof http.ClientRequest);
  assert.strictEqual(res.statusCode, 401);
  let body = '';
  for await (const chunk of res) body += chunk;
  assert.strictEqual(body, 'hi');
  assert.strictEqual(websocket.readyState, WebSocket.CONNECTING);
  assert.deepStrictEqual(lines, []);
  websocket.close();
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['error WebSocket was closed before the connection was established', 'close 1006']);
});

test('upgrade comes before the judgement, and its listener may close', async (t) => {
  const { url } = await serveRaw(t, (key) => answer(key, 'X-Cookie: yes'));
  const websocket = client(t, url);
  const lines = record(websocket);
  websocket.on('upgrade', (res) => {
    lines.push(`upgrade ${res.headers['x-cookie']}`);
    websocket.close();
  });
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, [
    'upgrade yes',
    'error WebSocket was closed before the connection was established',
    'close 1006'
  ]);
});

for (const method of ['close', 'terminate']) {
  test(`${method} while connecting: error and close come on a later tick`, async (t) => {
    const { url } = await serveRaw(t, () => undefined);
    const websocket = client(t, url);
    websocket[method]();
    const lines = record(websocket);
    assert.strictEqual(websocket.readyState, WebSocket.CLOSING);
    await whenClosed(websocket);
    assert.deepStrictEqual(lines, ['error WebSocket was closed before the connection was established', 'close 1006']);
  });
}

test('handshakeTimeout ends a handshake without an answer', async (t) => {
  const { url } = await serveRaw(t, () => undefined);
  const websocket = client(t, url, { handshakeTimeout: 50 });
  const lines = record(websocket);
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['error Opening handshake has timed out', 'close 1006']);
});

test('handshakeTimeout is not stretched by a server that trickles', { skip: process.env.ROPEWAY_SUBJECT }, async (t) => {
  let timer;
  t.after(() => clearInterval(timer));
  const { url } = await serveRaw(t, (key, raw) => {
    raw.write('HTTP/1.1 101 Switching Protocols\r\nX: ');
    timer = setInterval(() => raw.write('x'), 10);
  });
  const websocket = client(t, url, { handshakeTimeout: 150 });
  const lines = record(websocket);
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['error Opening handshake has timed out', 'close 1006']);
});

test('redirects are followed, relative ones too, with a new key each', async (t) => {
  const { url, requests } = await serveRaw(t, (key, raw, count) => (count < 3 ? redirect('next?q', 307) : answer(key)));
  const websocket = client(t, `${url}a/b`, { followRedirects: true });
  const seen = [];
  websocket.on('redirect', (to, req) => seen.push(to, req.getHeader('host')));
  await event(websocket, 'open');
  const host = new URL(url).host;
  assert.deepStrictEqual(seen, [`${url}a/next?q`, host, `${url}a/next?q`, host]);
  assert.strictEqual(websocket.url, `${url}a/next?q`);
  assert.strictEqual(new Set(requests.map((request) => /Key: (.*)/.exec(request)[1])).size, 3);
});

for (const [name, location, error] of [
  ['too many redirects', '/', 'Maximum redirects exceeded'],
  ['a redirect to no address', 'http://', 'Invalid URL: http://'],
  ['a redirect to another scheme', 'ftp://x',
    'The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"']
]) {
  test(`${name} is emitted, not thrown`, async (t) => {
    const { url } = await serveRaw(t, () => redirect(location));
    const websocket = client(t, url, { followRedirects: true, maxRedirects: 3 });
    const lines = record(websocket);
    await whenClosed(websocket);
    assert.deepStrictEqual(lines, [`error ${error}`, 'close 1006']);
  });
}

const SECRETS = { Authorization: 'secret', Cookie: 'secret', Host: 'mine', 'X-Other': 'stays' };

async function secretsAfter(t, to, listen) {
  const second = await serveRaw(t, (key) => answer(key));
  const target = to(second);
  const first = await serveRaw(t, (key, raw, count) => (count === 1 ? redirect(target) : answer(key)));
  const headers = { ...SECRETS };
  const websocket = client(t, first.url, { followRedirects: true, headers });
  if (listen) websocket.on('redirect', () => {});
  await event(websocket, 'open');
  assert.deepStrictEqual(headers, SECRETS, 'the options of the program are not changed');
  const request = (first.requests[1] || second.requests[0]).toLowerCase();
  return ['authorization', 'cookie', 'host', 'x-other'].filter((name) => request.includes(`\r\n${name}: ${SECRETS[
    { authorization: 'Authorization', cookie: 'Cookie', host: 'Host', 'x-other': 'X-Other' }[name]]}\r\n`));
}

test('a redirect to the same place keeps what was meant for it', async (t) => {
  assert.deepStrictEqual(await secretsAfter(t, () => '/same'), ['authorization', 'cookie', 'host', 'x-other']);
});

test('a redirect to another port learns no credentials, no cookies and not the host', async (t) => {
  assert.deepStrictEqual(await secretsAfter(t, ({ url }) => url), ['x-other']);
});

test('with a listener of redirect nothing is dropped', async (t) => {
  assert.deepStrictEqual(await secretsAfter(t, ({ url }) => url, true), ['authorization', 'cookie', 'host', 'x-other']);
});

test('credentials of the address are kept for the same place and dropped for another', async (t) => {
  const other = await serveRaw(t, (key) => answer(key));
  const first = await serveRaw(t, (key, raw, count) => redirect(count === 1 ? '/again' : other.url));
  await event(client(t, first.url.replace('//', '//a:b@'), { followRedirects: true }), 'open');
  assert.match(first.requests[1], /\r\nauthorization: Basic YTpi\r\n/i);
  assert.doesNotMatch(other.requests[0], /authorization/i);
});

test('finishRequest sends the request, and may change it', async (t) => {
  const { url, requests } = await serveRaw(t, (key) => answer(key));
  const options = {
    finishRequest(req, websocket) {
      assert.strictEqual(websocket.readyState, WebSocket.CONNECTING);
      setImmediate(() => {
        req.setHeader('X-Late', 'yes');
        req.end();
      });
    }
  };
  await event(client(t, url, options), 'open');
  assert.match(requests[0], /\r\nX-Late: yes\r\n/);
});

test('a Unix socket is named before the first colon', { skip: process.platform === 'win32' }, async (t) => {
  const path = `${require('node:os').tmpdir()}/ropeway-test-${process.pid}.sock`;
  const server = http.createServer();
  const wss = new WebSocket.Server({ server });
  t.after(() => server.close());
  server.listen(path);
  await event(server, 'listening');
  assert.strictEqual(wss.address(), path);
  const websocket = client(t, `ws+unix:${path}:/a:b?c`);
  const [, req] = await event(wss, 'connection');
  assert.strictEqual(req.url, '/a:b?c');
  assert.strictEqual(req.headers.host, 'localhost');
  await event(websocket, 'open');
});

test('a server that is gone is an error of the connection', async (t) => {
  const server = await serve(t);
  const { port } = server.address();
  await within('the close', new Promise((resolve) => server.close(resolve)));
  const websocket = client(t, `ws://127.0.0.1:${port}`);
  const lines = record(websocket);
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['error ECONNREFUSED', 'close 1006']);
});
