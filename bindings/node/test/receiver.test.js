'use strict';

const assert = require('node:assert');
const { once } = require('node:events');
const { describe, it } = require('node:test');

const PerMessageDeflate = require('../lib/permessage-deflate');
const Receiver = require('../lib/receiver');
const Sender = require('../lib/sender');
const { kStatusCode } = require('../lib/violation');

const BOUND = { timeout: 20000 };

function collect(receiver) {
  const events = [];
  receiver.on('message', (data, isBinary) => events.push([isBinary ? 'binary' : 'text', String(data)]));
  receiver.on('ping', (data) => events.push(['ping', String(data)]));
  receiver.on('pong', (data) => events.push(['pong', String(data)]));
  receiver.on('conclude', (code, reason) => events.push(['conclude', code, String(reason)]));
  receiver.on('error', (error) => events.push([error.name, error.code, error.message, error[kStatusCode]]));
  return events;
}

function write(receiver, hex) {
  return new Promise((resolve) => receiver.write(Buffer.from(hex, 'hex'), resolve));
}

describe('Receiver', BOUND, () => {
  // All of it at once, and byte by byte.
  for (const size of [1000, 1]) {
    it(`tells what came, in chunks of ${size} bytes`, async () => {
      const receiver = new Receiver();
      const events = collect(receiver);
      const bytes = Buffer.from('810161' + '020162' + '890170' + '800163' + '8a00' + '820164' + '880403e86f6b' + '8100', 'hex');
      for (let at = 0; at < bytes.length; at += size) receiver.write(Buffer.from(bytes.subarray(at, at + size)));
      await once(receiver, 'finish');
      assert.deepStrictEqual(events, [
        ['text', 'a'], ['ping', 'p'], ['binary', 'bc'], ['pong', ''], ['binary', 'd'], ['conclude', 1000, 'ok']
      ]);
    });
  }

  const invalid = (text) => `Invalid WebSocket frame: ${text}`;
  const refused = [
    ['a100', {}, ['RangeError', 'WS_ERR_UNEXPECTED_RSV_2_3', invalid('RSV2 and RSV3 must be clear'), 1002]],
    ['c100', {}, ['RangeError', 'WS_ERR_UNEXPECTED_RSV_1', invalid('RSV1 must be clear'), 1002]],
    ['8300', {}, ['RangeError', 'WS_ERR_INVALID_OPCODE', invalid('invalid opcode 3'), 1002]],
    ['0900', {}, ['RangeError', 'WS_ERR_EXPECTED_FIN', invalid('FIN must be set'), 1002]],
    ['897e', {}, ['RangeError', 'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', invalid('invalid payload length 126'), 1002]],
    ['8801', {}, ['RangeError', 'WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', invalid('invalid payload length 1'), 1002]],
    ['810161', { isServer: true }, ['RangeError', 'WS_ERR_EXPECTED_MASK', invalid('MASK must be set'), 1002]],
    ['81810000000061', {}, ['RangeError', 'WS_ERR_UNEXPECTED_MASK', invalid('MASK must be clear'), 1002]],
    ['880203ee', {}, ['RangeError', 'WS_ERR_INVALID_CLOSE_CODE', invalid('invalid status code 1006'), 1002]],
    ['8101ff', {}, ['Error', 'WS_ERR_INVALID_UTF8', invalid('invalid UTF-8 sequence'), 1007]],
    ['827f0020000000000000', {},
      ['RangeError', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH', 'Unsupported WebSocket frame: payload length > 2^53 - 1', 1009]],
    ['8205', { maxPayload: 4 }, ['RangeError', 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'Max payload size exceeded', 1009]],
    ['020000000000', { maxFragments: 2 },
      ['RangeError', 'WS_ERR_TOO_MANY_BUFFERED_PARTS', 'Too many message fragments', 1008]]
  ];
  for (const [hex, options, error] of refused) {
    it(`refuses ${hex} with ${error[1]}`, async () => {
      const receiver = new Receiver(options);
      const events = collect(receiver);
      await write(receiver, `${options.isServer ? '' : '8900'}${hex}`);
      assert.deepStrictEqual(events, [...(options.isServer ? [] : [['ping', '']]), error]);
      assert.ok(receiver.destroyed);
    });
  }

  it('counts the chunks of a frame that is not complete', async () => {
    const receiver = new Receiver({ maxBufferedChunks: 2 });
    const events = collect(receiver);
    for (const hex of ['8202', '61', '62', '8203', '61', '6263']) await write(receiver, hex);
    // The length is complete with its last byte: the chunk that has it is held for the bytes behind it.
    for (const hex of ['827e00', `7e${'62'.repeat(125)}`, '62', '8201618201']) await write(receiver, hex);
    for (const hex of ['62', '82']) await write(receiver, hex);
    await write(receiver, '00');
    assert.deepStrictEqual(events.map(([, data]) => data), ['ab', 'abc', 'b'.repeat(126), 'a', 'b', '']);
    for (const hex of ['8204', '61', '61']) await write(receiver, hex);
    await write(receiver, '61');
    assert.deepStrictEqual(events.at(-1), ['RangeError', 'WS_ERR_TOO_MANY_BUFFERED_PARTS', 'Too many buffered chunks', 1008]);
  });

  it('takes limits as signed integers of 32 bits', () => {
    const limits = (value) => {
      const { _maxPayload, _maxFragments, _maxBufferedChunks } =
        new Receiver({ maxPayload: value, maxFragments: value, maxBufferedChunks: value });
      return [_maxPayload, _maxFragments, _maxBufferedChunks];
    };
    assert.deepStrictEqual([limits(7), limits(2 ** 31), limits(Infinity)], [[7, 7, 7], [0, 0, 0], [0, 0, 0]]);
  });

  it('gives binary messages as binaryType says', async () => {
    const got = [];
    for (const binaryType of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
      const receiver = new Receiver({ binaryType });
      receiver.on('message', (data) => got.push(data));
      await write(receiver, '020261620000800163');
      await write(receiver, '8200');
    }
    const [buffer, empty, arrayBuffer, emptyArrayBuffer, fragments, noFragments, blob, emptyBlob] = got;
    assert.deepStrictEqual([String(buffer), empty.length], ['abc', 0]);
    assert.deepStrictEqual([Buffer.from(arrayBuffer).toString(), emptyArrayBuffer.byteLength], ['abc', 0]);
    assert.deepStrictEqual([fragments.map(String), noFragments], [['ab', 'c'], []]);
    assert.deepStrictEqual([await blob.text(), await emptyBlob.text()], ['abc', '']);
  });

  it('inflates, with the extension\'s parameters and limits', async () => {
    const extension = new PerMessageDeflate({ isServer: true, maxPayload: 100 });
    const receiver = new Receiver({ isServer: true, maxPayload: 100, extensions: { [PerMessageDeflate.extensionName]: extension } });
    extension.accept([{}]);
    const peer = new PerMessageDeflate({});
    peer.accept([{}]);
    const events = collect(receiver);
    const sender = new Sender(receiver, { [PerMessageDeflate.extensionName]: peer });
    const options = { compress: true, mask: true };
    sender.send('a text', { ...options, fin: false });
    sender.send(' in parts', { ...options, fin: true });
    sender.send('a text in parts', { ...options, fin: true });
    sender.send('x'.repeat(101), { ...options, fin: true });
    await new Promise((resolve) => receiver.on('close', resolve));
    assert.deepStrictEqual(events, [
      ['text', 'a text in parts'], ['text', 'a text in parts'],
      ['RangeError', 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'Max payload size exceeded', 1009]
    ]);
    peer.cleanup();
  });

  it('has a turn of the event loop for each event if asked to', async () => {
    const receiver = new Receiver({ allowSynchronousEvents: false });
    const order = [];
    receiver.on('message', (data) => {
      order.push(String(data));
      Promise.resolve().then(() => order.push(`then ${data}`));
    });
    await write(receiver, '810161' + '810162');
    assert.deepStrictEqual(order, ['a', 'then a', 'b', 'then b']);
  });

  it('goes on behind a handler that throws', async () => {
    const receiver = new Receiver();
    const got = [];
    receiver.on('message', (data) => {
      got.push(String(data));
      if (got.length === 1) throw new Error('thrown by a handler');
    });
    assert.throws(() => receiver.write(Buffer.from('810161810162', 'hex')), { message: 'thrown by a handler' });
    await write(receiver, '810163');
    assert.deepStrictEqual(got, ['a', 'b', 'c']);
  });

  it('tells how much of a message is announced', async () => {
    const receiver = new Receiver();
    await write(receiver, '010261618900');
    assert.strictEqual(receiver._totalPayloadLength, 2);
    await write(receiver, '8003');
    assert.strictEqual(receiver._totalPayloadLength, 5);
    await write(receiver, '626262');
    assert.strictEqual(receiver._totalPayloadLength, 0);
  });
});
