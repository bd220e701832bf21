'use strict';

// WebSocket: its states, its events as sequences, the rules of sending, and how connections end.

const assert = require('node:assert');
const { test } = require('node:test');

const { WebSocket, closing, event, masked, openRaw, pair, plain, record, serve, takeUncaught, whenClosed, within } = require('./support/peers');

const closed = (...websockets) => Promise.all(websockets.map(whenClosed));
const called = (start) => within('the callback', new Promise((resolve) => start((error) => resolve(error))));

test('a conversation: what both ends see, in order', async (t) => {
  const { websocket, client } = await pair(t);
  const lines = { client: record(client), server: record(websocket) };
  websocket.on('message', (data, isBinary) => websocket.send(data, { binary: isBinary }));
  client.send('text');
  client.send(Buffer.from('bytes'));
  client.ping('are you there');
  client.pong('unasked');
  client.close(1000, 'bye');
  await closed(client, websocket);
  assert.deepStrictEqual(lines.server, ['text text', 'binary bytes', 'ping are you there', 'pong unasked', 'close 1000 bye']);
  assert.deepStrictEqual(lines.client, ['text text', 'binary bytes', 'pong are you there', 'close 1000 bye']);
});

test('a callback that is no function is none, and options that are no object are none', async (t) => {
  const { websocket, client } = await pair(t);
  const lines = record(websocket);
  const later = event(websocket, 'pong');
  for (const nothing of [null, undefined, false]) {
    client.send('text', nothing);
    client.send('text', {}, nothing);
    client.send('text', nothing, nothing);
    client.ping('ping', undefined, nothing);
  }
  client.send('true', true);
  client.pong('the last');
  await later;
  assert.deepStrictEqual([...new Set(lines)], ['text text', 'ping ping', 'text true', 'pong the last']);
});

test('the answers of a handler go before the answer to a close frame behind its message', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  websocket.on('message', (data) => websocket.send(`re: ${data}`));
  raw.write(masked(0x82, 'a'), masked(0x89, 'p'), masked(0x82, 'b'), masked(0x88, closing(1001, 'x')));
  assert.deepStrictEqual(
    await raw.rest(),
    Buffer.concat([plain(0x81, 're: a'), plain(0x8a, 'p'), plain(0x81, 're: b'), plain(0x88, closing(1001, 'x'))])
  );
});

test('a pong is sent before the ping is told, and not at all with autoPong: false', async (t) => {
  const automatic = await openRaw(t, await serve(t));
  automatic.websocket.on('ping', (data) => automatic.websocket.send(data));
  automatic.raw.write(masked(0x89, 'hi'));
  assert.deepStrictEqual(await automatic.raw.read(8), Buffer.concat([plain(0x8a, 'hi'), plain(0x82, 'hi')]));

  const manual = await openRaw(t, await serve(t, { autoPong: false }));
  manual.websocket.on('ping', (data) => manual.websocket.send(data));
  manual.raw.write(masked(0x89, 'hi'));
  assert.deepStrictEqual(await manual.raw.read(4), plain(0x82, 'hi'));
});

test('constants and properties are where browsers have them', () => {
  for (const owner of [WebSocket, WebSocket.prototype]) {
    for (const [value, name] of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'].entries()) {
      const descriptor = { configurable: false, enumerable: true, value, writable: false };
      assert.deepStrictEqual(Object.getOwnPropertyDescriptor(owner, name), descriptor);
    }
  }
  for (const name of ['binaryType', 'bufferedAmount', 'extensions', 'isPaused', 'protocol', 'readyState', 'url', 'onopen']) {
    const { configurable, enumerable, get } = Object.getOwnPropertyDescriptor(WebSocket.prototype, name);
    assert.deepStrictEqual([configurable, enumerable, typeof get], [true, true, 'function'], name);
  }
});

for (const [name, data, options, first, payload] of [
  ['a string', 'ä', undefined, 0x81, 'ä'],
  ['an empty string', '', undefined, 0x81, ''],
  ['nothing', undefined, undefined, 0x82, ''],
  ['null', null, undefined, 0x82, ''],
  // CVE-2016-10518: a number was taken for a length.
  ['a number', 100, undefined, 0x81, '100'],
  ['zero', 0, undefined, 0x81, '0'],
  ['a Buffer', Buffer.from('b'), undefined, 0x82, 'b'],
  ['a Buffer as a text', Buffer.from('b'), { binary: false }, 0x81, 'b'],
  ['a string as bytes', 'b', { binary: true }, 0x82, 'b'],
  ['a part of a typed array', new Uint16Array([1, 0x6261, 3]).subarray(1, 2), undefined, 0x82, 'ab'],
  ['a DataView', new DataView(Uint8Array.from([97, 98, 99]).buffer, 1, 1), undefined, 0x82, 'b'],
  ['an ArrayBuffer', Uint8Array.from([97]).buffer, undefined, 0x82, 'a'],
  ['an array', [97, 98], undefined, 0x82, 'ab'],
  ['a Blob', new Blob(['blob']), undefined, 0x82, 'blob'],
  ['a first fragment', 'f', { fin: false }, 0x01, 'f']
]) {
  test(`send: ${name}`, async (t) => {
    const { raw, websocket } = await openRaw(t, await serve(t));
    websocket.send(data, options);
    const expected = plain(first, payload);
    assert.deepStrictEqual(await raw.read(expected.length), expected);
  });
}

test('send refuses what is no data, and sends nothing', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  for (const data of [{}, true, Symbol('x'), () => {}, 1n]) assert.throws(() => websocket.send(data), TypeError);
  assert.throws(() => websocket.send({}, { fin: false }), TypeError);
  websocket.send('x');
  assert.deepStrictEqual(await raw.read(3), plain(0x81, 'x'));
});

test('threshold: messages of fewer bytes are not compressed, and a negative one compresses all', async (t) => {
  for (const [threshold, length, isCompressed] of [
    [undefined, 1023, false], [undefined, 1024, true], [0, 1, true], [-1, 1, true], [-1, 0, true], [5, 4, false], [5, 5, true],
    [Infinity, 2000, false], [NaN, 2000, false]
  ]) {
    const server = await serve(t, { perMessageDeflate: { serverNoContextTakeover: true, threshold } });
    const { raw, websocket } = await openRaw(t, server, 'Sec-WebSocket-Extensions: permessage-deflate');
    websocket.send('x'.repeat(length));
    const [first] = await raw.read(1);
    assert.strictEqual(first, isCompressed ? 0xc1 : 0x81, `threshold ${threshold}, ${length} bytes`);
  }
});

test('the first fragment decides whether the message is a text', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  websocket.send('a', { fin: false });
  websocket.send(Buffer.from('b'), { fin: false });
  websocket.send('c', { fin: true });
  websocket.send(Buffer.from('d'));
  const expected = Buffer.concat([plain(0x01, 'a'), plain(0x00, 'b'), plain(0x80, 'c'), plain(0x82, 'd')]);
  assert.deepStrictEqual(await raw.read(expected.length), expected);
});

test('sends are written in the order of the calls, pings, pongs and the close frame too', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  websocket.send('1');
  websocket.ping('2');
  websocket.send(new Blob(['3']));
  websocket.pong('4');
  websocket.send('5');
  websocket.send(new Blob(['6']));
  websocket.ping(new Blob(['7']));
  websocket.close(1000);
  const expected = Buffer.concat([
    plain(0x81, '1'),
    plain(0x89, '2'),
    plain(0x82, '3'),
    plain(0x8a, '4'),
    plain(0x81, '5'),
    plain(0x82, '6'),
    plain(0x89, '7'),
    plain(0x88, closing(1000))
  ]);
  assert.deepStrictEqual(await raw.read(expected.length), expected);
});

test('callbacks are called in order, without an error, once the data is written', async (t) => {
  const { websocket } = await openRaw(t, await serve(t));
  const order = [];
  await called((done) => {
    websocket.send('a', (error) => order.push(['a', error]));
    websocket.ping('b', (error) => order.push(['b', error]));
    websocket.send('c', {}, (error) => {
      order.push(['c', error]);
      done();
    });
    assert.deepStrictEqual(order, []);
  });
  assert.deepStrictEqual(order.map(([name, error]) => `${name} ${error || 'ok'}`), ['a ok', 'b ok', 'c ok']);
});

test('sending too early throws, too late calls back and counts', async (t) => {
  const early = new WebSocket('ws://127.0.0.1:1', { lookup() {} });
  early.on('error', () => {});
  for (const method of ['send', 'ping', 'pong']) {
    assert.throws(() => early[method]('x', () => assert.fail()), {
      name: 'Error',
      message: 'WebSocket is not open: readyState 0 (CONNECTING)'
    });
  }
  early.terminate();

  const { websocket, client } = await pair(t);
  websocket.close();
  for (const [index, method] of ['send', 'ping', 'pong'].entries()) {
    const error = await called((done) => websocket[method]('late', done));
    assert.match(error.message, /^WebSocket is not open: readyState [23] \((CLOSING|CLOSED)\)$/);
    assert.strictEqual(websocket.bufferedAmount, 4 * (index + 1));
  }
  await whenClosed(client);
});

for (const method of ['ping', 'pong']) {
  test(`${method}: at most 125 bytes, of all kinds of data`, async (t) => {
    const { raw, websocket } = await openRaw(t, await serve(t));
    const first = method === 'ping' ? 0x89 : 0x8a;
    for (const data of [Buffer.alloc(126), 'ä'.repeat(63), new Blob(['x'.repeat(126)])]) {
      assert.throws(() => websocket[method](data), {
        name: 'RangeError',
        message: 'The data size must not be greater than 125 bytes'
      });
    }
    websocket[method]();
    websocket[method](0);
    websocket[method]('s', false);
    websocket[method](Buffer.alloc(125));
    const expected = Buffer.concat([plain(first), plain(first, '0'), plain(first, 's'), plain(first, Buffer.alloc(125))]);
    assert.deepStrictEqual(await raw.read(expected.length), expected);
  });
}

for (const [name, args, error] of [
  ['a code that may not be sent', [1005], 'TypeError: First argument must be a valid error code number'],
  ['a code that is reserved', [2999], 'TypeError: First argument must be a valid error code number'],
  ['a code that is no number', ['1000'], 'TypeError: First argument must be a valid error code number'],
  ['a reason of 124 bytes', [1000, 'ä'.repeat(62)], 'RangeError: The message must not be greater than 123 bytes'],
  // CVE-2026-45736: its length was counted in bytes and its elements were written.
  ['a reason of floats', [1000, new Float32Array(20)], 'TypeError: Second argument must be a string or a Uint8Array']
]) {
  test(`close with ${name} throws, and the connection stays open`, async (t) => {
    const { raw, websocket } = await openRaw(t, await serve(t));
    assert.throws(() => websocket.close(...args), (thrown) => String(thrown) === error);
    assert.strictEqual(websocket.readyState, WebSocket.OPEN);
    websocket.close(1000, 'ä'.repeat(61) + 'x');
    assert.strictEqual((await raw.read(127))[1], 125);
  });
}

for (const code of [1000, 1003, 1007, 1014, 3000, 4999]) {
  test(`close code ${code} reaches the peer and comes back`, async (t) => {
    const { websocket, client } = await pair(t);
    const lines = [record(websocket, 'server '), record(client, 'client ')];
    websocket.close(code, 'why');
    await closed(websocket, client);
    assert.deepStrictEqual(lines.flat(), [`server close ${code} why`, `client close ${code} why`]);
  });
}

test('a close frame without a code is answered by one, and is 1005', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const lines = record(websocket);
  raw.write(masked(0x88));
  assert.deepStrictEqual(await raw.rest(), plain(0x88));
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['close 1005']);
});

test('our own close waits for the answer; messages before it are delivered, bytes behind it are not', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const lines = record(websocket);
  websocket.close(4000, 'mine');
  assert.strictEqual(websocket.readyState, WebSocket.CLOSING);
  assert.deepStrictEqual(await raw.read(8), plain(0x88, closing(4000, 'mine')));
  raw.write(masked(0x81, 'still'), masked(0x89, 'p'), masked(0x88, closing(4001)), masked(0x81, 'late'));
  assert.strictEqual((await raw.rest()).length, 0, 'no pong while closing');
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['text still', 'ping p', 'close 4001']);
});

test('without an answer the socket is destroyed after closeTimeout', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { closeTimeout: 30 }));
  const lines = record(websocket);
  websocket.close(1000);
  await raw.rest();
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['close 1006']);
});

test('the end of the stream without a close frame is 1006 and no error', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const lines = record(websocket);
  raw.write(masked(0x81, 'last'));
  raw.socket.end();
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['text last', 'close 1006']);
});

test('a reset is 1006 and no error', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const lines = record(websocket);
  raw.socket.resetAndDestroy();
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['close 1006']);
});

test('terminate: the state changes at once, close comes later, and what was sent before is delivered', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const lines = record(websocket);
  websocket.send('first');
  websocket.send('second');
  websocket.terminate();
  assert.strictEqual(websocket.readyState, WebSocket.CLOSING);
  assert.deepStrictEqual(lines, []);
  assert.deepStrictEqual(await raw.rest(), Buffer.concat([plain(0x81, 'first'), plain(0x81, 'second')]));
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['close 1006']);
  websocket.terminate();
  websocket.close();
  assert.strictEqual(websocket.readyState, WebSocket.CLOSED);
});

test('a paused WebSocket delivers nothing until it is resumed', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const lines = record(websocket);
  websocket.pause();
  assert.strictEqual(websocket.isPaused, true);
  raw.write(masked(0x81, 'a'), masked(0x88, closing(1000)));
  // The loop goes round meanwhile.
  const pong = new Promise((resolve) => websocket.ping('x', resolve));
  await within('the callback', pong);
  assert.deepStrictEqual(lines, []);
  websocket.resume();
  await whenClosed(websocket);
  assert.deepStrictEqual(lines, ['text a', 'close 1000']);
});

test('binaryType: what binary messages are, and that it holds from the next one on', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const seen = [];
  const types = ['arraybuffer', 'blob', 'fragments', 'nonsense', 'nodebuffer'];
  const all = new Promise((resolve) => {
    websocket.on('message', (data) => {
      seen.push(data);
      if (types.length > 0) websocket.binaryType = types.shift();
      else resolve();
    });
  });
  raw.write(...'abcdef'.split('').map((letter) => masked(0x82, letter)));
  await within('all messages', all);
  assert.ok(Buffer.isBuffer(seen[0]));
  assert.deepStrictEqual(new Uint8Array(seen[1]), Uint8Array.from([98]));
  assert.ok(seen[1] instanceof ArrayBuffer && seen[2] instanceof Blob);
  assert.strictEqual(await seen[2].text(), 'c');
  assert.deepStrictEqual(seen.slice(3), [[Buffer.from('d')], [Buffer.from('e')], Buffer.from('f')]);
});

test('an exception of a handler loses no message, and is uncaught', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  const seen = [];
  const all = new Promise((resolve) => {
    websocket.on('message', (data) => {
      seen.push(String(data));
      if (seen.length === 3) resolve();
      if (seen.length === 1) throw new Error('of the handler');
    });
  });
  const uncaught = takeUncaught(t);
  raw.write(masked(0x81, 'a'), masked(0x81, 'b'));
  const [error] = await uncaught;
  assert.strictEqual(error.message, 'of the handler');
  raw.write(masked(0x81, 'c'));
  // ws loses the rest of the chunk.
  if (process.env.ROPEWAY_SUBJECT) return;
  await within('all messages', all);
  assert.deepStrictEqual(seen, ['a', 'b', 'c']);
});

test('allowSynchronousEvents: false gives each event a turn of its own', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t, { allowSynchronousEvents: false }));
  const order = [];
  const all = new Promise((resolve) => {
    websocket.on('message', (data) => {
      order.push(String(data));
      if (order.length === 6) resolve();
      else Promise.resolve().then(() => order.push(`after ${data}`));
    });
  });
  raw.write(masked(0x81, 'a'), masked(0x81, 'b'), masked(0x81, 'c'), masked(0x81, 'd'));
  await within('all messages', Promise.race([all, new Promise((resolve) => websocket.on('message', (data) => {
    if (String(data) === 'd') resolve();
  }))]));
  assert.deepStrictEqual(order.slice(0, 7), ['a', 'after a', 'b', 'after b', 'c', 'after c', 'd']);
});

test('_sender.sendFrame sends encoded frames in the order of the others', async (t) => {
  const { raw, websocket } = await openRaw(t, await serve(t));
  websocket.send('1');
  const list = WebSocket.Sender.frame(Buffer.from('2'), { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: false });
  const sent = called((done) => websocket._sender.sendFrame(list, done));
  websocket.send('3');
  const expected = Buffer.concat(['1', '2', '3'].map((text) => plain(0x81, text)));
  assert.deepStrictEqual(await raw.read(expected.length), expected);
  assert.ok(!(await sent));
});
