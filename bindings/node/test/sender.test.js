'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const { describe, it } = require('node:test');
const { Writable } = require('node:stream');

const PerMessageDeflate = require('../lib/permessage-deflate');
const Sender = require('../lib/sender');

const BOUND = { timeout: 20000 };

// A stream that keeps what is written to it.
function sink() {
  const stream = new Writable({
    write(chunk, encoding, callback) {
      stream.hex += chunk.toString('hex');
      stream.writes++;
      callback();
    }
  });
  stream.hex = '';
  stream.writes = 0;
  return stream;
}

function deflating(parameters = {}, options = {}) {
  const extension = new PerMessageDeflate(options);
  extension.accept([parameters]);
  return { [PerMessageDeflate.extensionName]: extension };
}

const FINAL = { fin: true, mask: false };

describe('Sender.frame', () => {
  const whole = (length, head, options) => {
    const list = Sender.frame(Buffer.alloc(length, 1), { fin: true, opcode: 2, mask: false, ...options });
    assert.strictEqual(list[0].toString('hex'), head);
    assert.strictEqual(Buffer.concat(list).length, head.length / 2 + length);
  };
  it('gives the header and the payload', () => {
    whole(1, '8201');
    whole(125, '827d');
    whole(126, '827e007e');
    whole(65535, '827effff');
    whole(65536, '827f0000000000010000');
    whole(0, '8200');
    whole(1, '0201', { fin: false });
    whole(1, 'c101', { rsv1: true, opcode: 1 });
  });

  it('encodes a string', () => {
    const list = Sender.frame('\u00e9', { fin: true, opcode: 1, mask: false });
    assert.deepStrictEqual(list, [Buffer.from('8102', 'hex'), Buffer.from('c3a9', 'hex')]);
  });

  it('masks in place, or a copy if the data is read-only', () => {
    const generateMask = (key) => key.set([1, 2, 3, 4]);
    const options = { fin: true, opcode: 2, mask: true, generateMask };
    const data = Buffer.from([0, 0, 0, 0, 0]);
    const copy = Buffer.concat(Sender.frame(data, { ...options, readOnly: true }));
    assert.strictEqual(copy.toString('hex'), '8285010203040102030401');
    assert.strictEqual(data.toString('hex'), '0000000000');
    assert.deepStrictEqual(Buffer.concat(Sender.frame(data, { ...options, readOnly: false })), copy);
    assert.strictEqual(data.toString('hex'), '0102030401');
    assert.strictEqual(Buffer.concat(Sender.frame('', options)).toString('hex'), '828001020304');
    assert.strictEqual(Buffer.concat(Sender.frame('\0', options)).toString('hex'), '82810102030401');
  });

  it('leaves the payload alone with the all-zero key, and takes a new key for each frame otherwise', () => {
    const data = Buffer.from('data');
    const list = Sender.frame(data, { fin: true, opcode: 2, mask: true, readOnly: true, generateMask() {} });
    assert.strictEqual(list[1], data);
    const keys = new Set();
    for (let i = 0; i < 5000; i++) keys.add(Sender.frame('', { fin: true, opcode: 1, mask: true })[0].toString('hex'));
    assert.ok(keys.size > 4990);
  });
});

describe('Sender', BOUND, () => {
  it('sends every type of data', async () => {
    const stream = sink();
    const sender = new Sender(stream);
    const bytes = new Uint8Array([0, 104, 105]).subarray(1);
    sender.send('hi', FINAL);
    sender.send(Buffer.from('hi'), { ...FINAL, binary: true });
    sender.send(bytes, { ...FINAL, binary: true });
    sender.send(new DataView(bytes.buffer, 1), { ...FINAL, binary: true });
    sender.send(bytes.buffer.slice(1), { ...FINAL, binary: true });
    sender.send(new Blob(['hi']), { ...FINAL, binary: true });
    sender.send('', FINAL);
    assert.strictEqual(sender._bufferedBytes, 2);
    await new Promise((resolve) => sender.close(1000, 'ok', false, resolve));
    assert.strictEqual(stream.hex, '81026869' + '82026869'.repeat(5) + '8100' + '880403e86f6b');
    assert.strictEqual(sender._bufferedBytes, 0);
  });

  it('sends fragments, and only the first has the type', async () => {
    const stream = sink();
    const sender = new Sender(stream);
    sender.send('a', { fin: false, binary: true });
    sender.ping('p', false);
    sender.send('b', { fin: false });
    await new Promise((resolve) => sender.send('c', FINAL, resolve));
    assert.strictEqual(stream.hex, '020161' + '890170' + '000162' + '800163');
  });

  it('masks without changing the caller\'s data', async () => {
    const stream = sink();
    const sender = new Sender(stream, {}, (key) => key.fill(0xff));
    const data = Buffer.from([0, 1]);
    sender.send(data, { fin: true, mask: true, binary: true });
    sender.ping(data, true);
    await new Promise((resolve) => sender.send('A', { fin: true, mask: true }, resolve));
    assert.strictEqual(stream.hex, '8282fffffffffffe' + '8982fffffffffffe' + '8181ffffffffbe');
    assert.deepStrictEqual(data, Buffer.from([0, 1]));
  });

  it('keeps the order while it compresses', async () => {
    const stream = sink();
    const sender = new Sender(stream, deflating());
    const order = [];
    sender.send('one', { ...FINAL, compress: true }, () => order.push('one'));
    sender.pong('p', false, () => order.push('pong'));
    sender.send('two', FINAL, () => order.push('two'));
    await new Promise((resolve) => sender.close(undefined, undefined, false, resolve));
    assert.deepStrictEqual(order, ['one', 'pong', 'two']);
    assert.match(stream.hex, /^c1.*8a0170810374776f8800$/);
  });

  it('has a threshold where each message begins with an empty window, and the first fragment decides', async () => {
    const stream = sink();
    const sender = new Sender(stream, deflating({ client_no_context_takeover: [true] }, { threshold: 3 }));
    sender.send('ab', { ...FINAL, compress: true });
    sender.send('ab', { fin: false, compress: true });
    sender.send('abc', { ...FINAL, compress: true });
    await new Promise((resolve) => sender.send('abc', { ...FINAL, compress: true }, resolve));
    assert.match(stream.hex, /^81026162010261628003616263c105/);
  });

  it('fails everything that waits, in order, if the stream is destroyed meanwhile', async () => {
    const causes = [
      [new Blob(['data']), 'The socket was closed while the blob was being read'],
      ['data', 'The socket was closed while data was being compressed']
    ];
    for (const [data, message] of causes) {
      const stream = sink();
      const sender = new Sender(stream, deflating());
      const order = [];
      sender.send(data, { ...FINAL, compress: typeof data === 'string' }, (error) => order.push(['first', error.message]));
      sender.send('x', FINAL);
      const last = new Promise((resolve) => sender.ping('x', false, resolve));
      stream.destroy();
      order.push(['last', (await last).message]);
      assert.deepStrictEqual(order, [['first', message], ['last', message]]);
      assert.strictEqual(stream.writes, 0);
    }
  });

  it('tells when a blob cannot be read', async () => {
    const sender = new Sender(sink());
    const blob = new Blob(['x']);
    blob.arrayBuffer = () => Promise.reject(new Error('unreadable'));
    const told = new Promise((resolve) => (sender.onerror = resolve));
    const callback = new Promise((resolve) => sender.send(blob, FINAL, resolve));
    assert.strictEqual((await callback).message, 'unreadable');
    assert.strictEqual((await told).message, 'unreadable');
  });

  it('refuses close codes and payloads that RFC 6455 does not allow', () => {
    const sender = new Sender(sink());
    const code = { name: 'TypeError', message: 'First argument must be a valid error code number' };
    for (const bad of ['1000', 999, 1004, 1005, 1006, 1015, 2999, 5000]) assert.throws(() => sender.close(bad), code);
    assert.throws(() => sender.close(1000, 'x'.repeat(124)), {
      name: 'RangeError', message: 'The message must not be greater than 123 bytes'
    });
    for (const method of ['ping', 'pong']) {
      assert.throws(() => sender[method](Buffer.alloc(126), false), {
        name: 'RangeError', message: 'The data size must not be greater than 125 bytes'
      });
    }
  });

  it('tells of the stream\'s errors by the callback', async () => {
    const stream = new Writable({ write: (chunk, encoding, callback) => callback(new Error('broken')) });
    const failed = once(stream, 'error');
    const sender = new Sender(stream);
    const error = await new Promise((resolve) => sender.send('x', FINAL, resolve));
    assert.strictEqual(error.message, 'broken');
    await failed;
  });
});
