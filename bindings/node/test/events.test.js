'use strict';

// The browser's side of a WebSocket: event objects, attributes, addEventListener.

const assert = require('node:assert');
const { EventEmitter } = require('node:events');
const http = require('node:http');
const { test } = require('node:test');

const { WebSocket, pair, whenClosed } = require('./support/peers');

// A WebSocket that never connects.
function idle(t) {
  const agent = Object.assign(new http.Agent(), { addRequest() {} });
  const websocket = new WebSocket('ws://localhost', { agent });
  t.after(() => websocket.on('error', () => {}).terminate());
  return websocket;
}

test('each event has its class, its properties and its target', async (t) => {
  const { websocket, client } = await pair(t);
  const seen = [];
  for (const type of ['message', 'error', 'close']) {
    client.addEventListener(type, (event) => {
      const names = [];
      for (const name in event) names.push(name);
      seen.push([event.constructor.name, event.type, event.target === client, names.sort()]);
      if (type === 'message') seen.push(event.data);
      if (type === 'close') seen.push([event.code, event.reason, event.wasClean]);
      if (type === 'error') seen.push([event.error.message, event.message]);
    });
  }
  client.emit('error', new Error('forced'));
  websocket.send('text');
  websocket.send(Buffer.from('bytes'));
  websocket.close(4000, 'why');
  await whenClosed(client);
  assert.deepStrictEqual(seen, [
    ['ErrorEvent', 'error', true, ['error', 'message', 'target', 'type']],
    ['forced', 'forced'],
    ['MessageEvent', 'message', true, ['data', 'target', 'type']],
    'text',
    ['MessageEvent', 'message', true, ['data', 'target', 'type']],
    Buffer.from('bytes'),
    ['CloseEvent', 'close', true, ['code', 'reason', 'target', 'type', 'wasClean']],
    [4000, 'why', true]
  ]);
});

test('wasClean is false if a close frame is missing', async (t) => {
  const { websocket, client } = await pair(t);
  let wasClean;
  client.onclose = (event) => (wasClean = event.wasClean);
  websocket.terminate();
  await whenClosed(client);
  assert.strictEqual(wasClean, false);
});

test('an attribute holds one function, and stands beside the other listeners', (t) => {
  const websocket = idle(t);
  const calls = [];
  const first = () => calls.push('first');
  assert.strictEqual(websocket.onopen, null);
  websocket.on('open', () => calls.push('on'));
  websocket.onopen = first;
  websocket.addEventListener('open', first);
  assert.strictEqual(websocket.onopen, first);
  websocket.emit('open');
  assert.deepStrictEqual(calls.splice(0), ['on', 'first', 'first']);

  websocket.onopen = () => calls.push('second');
  websocket.removeEventListener('open', first);
  websocket.emit('open');
  assert.deepStrictEqual(calls.splice(0), ['on', 'second']);

  websocket.onopen = 'no function';
  assert.strictEqual(websocket.onopen, null);
  websocket.emit('open');
  assert.deepStrictEqual(calls, ['on']);
});

test('addEventListener: each handler once, objects too, and four types', (t) => {
  const websocket = idle(t);
  const calls = [];
  const handler = {
    handleEvent(event) {
      calls.push(`${event.type} ${this === handler}`);
    }
  };
  function plain() {
    calls.push(`plain ${this === websocket}`);
  }
  websocket.addEventListener('open', handler);
  websocket.addEventListener('open', handler);
  websocket.addEventListener('open', plain, { once: true });
  websocket.addEventListener('constructor', plain);
  assert.strictEqual(websocket.listenerCount('constructor'), 0);
  websocket.emit('open');
  websocket.emit('open');
  assert.deepStrictEqual(calls, ['open true', 'plain true', 'open true']);
  websocket.removeEventListener('open', handler);
  assert.strictEqual(websocket.listenerCount('open'), 0);
});

test('removeEventListener takes nothing that `on` or an attribute has added', (t) => {
  const websocket = idle(t);
  const listener = () => {};
  websocket.on('close', listener);
  websocket.onclose = listener;
  websocket.removeEventListener('close', listener);
  assert.strictEqual(websocket.listenerCount('close'), 2);
  websocket.addEventListener('close', listener, { once: true });
  websocket.removeEventListener('close', listener);
  assert.strictEqual(websocket.listenerCount('close'), 2);
  assert.ok(websocket instanceof EventEmitter);
});
