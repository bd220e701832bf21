'use strict';

const assert = require('node:assert');
const { describe, it } = require('node:test');
const { promisify } = require('node:util');
const zlib = require('node:zlib');

const Limiter = require('../lib/limiter');
const PerMessageDeflate = require('../lib/permessage-deflate');
const { kStatusCode } = require('../lib/violation');

const BOUND = { timeout: 20000 };

function agreed(options, parameters = {}) {
  const extension = new PerMessageDeflate(options);
  extension.accept([parameters]);
  return {
    extension,
    compress: promisify(extension.compress.bind(extension)),
    decompress: promisify(extension.decompress.bind(extension))
  };
}

describe('PerMessageDeflate', BOUND, () => {
  it('has the name of the extension', () => {
    assert.strictEqual(PerMessageDeflate.extensionName, 'permessage-deflate');
  });

  it('writes what zlib writes for a sync flush, without its last four bytes', async () => {
    const { compress, extension } = agreed();
    const data = Buffer.from('a text, a text, a text');
    const whole = zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    assert.deepStrictEqual(await compress(data, true), whole.subarray(0, -4));
    assert.deepStrictEqual(await compress('', true), Buffer.from([0]));
    extension.cleanup();
  });

  it('reads what it wrote, in parts, and keeps its window from message to message', async () => {
    const { compress, decompress, extension } = agreed();
    const lengths = [];
    for (let i = 0; i < 3; i++) {
      const parts = [await compress('one text, ', false), await compress('and the other', true)];
      lengths.push(parts[0].length + parts[1].length);
      assert.strictEqual(String(await decompress(parts[0], false)), 'one text, ');
      assert.strictEqual(String(await decompress(parts[1], true)), 'and the other');
    }
    assert.ok(lengths[1] < lengths[0]);
    extension.cleanup();
  });

  for (const [isServer, name] of [[true, 'server'], [false, 'client']]) {
    it(`begins each message with an empty window after ${name}_no_context_takeover`, async () => {
      const { compress, extension } = agreed({ isServer }, { [`${name}_no_context_takeover`]: [true] });
      const first = await compress('a text that repeats', true);
      assert.deepStrictEqual(await compress('a text that repeats', true), first);
      extension.cleanup();
    });
  }

  it('reads on after a block that says it is the last one', async () => {
    const { decompress, extension } = agreed({ isServer: true });
    const last = Buffer.concat([zlib.deflateRawSync('over'), Buffer.from([0])]);
    for (let i = 0; i < 3; i++) assert.strictEqual(String(await decompress(last, true)), 'over');
    extension.cleanup();
  });

  it('names zlib\'s error for corrupt data, and works on', async () => {
    const { compress, decompress, extension } = agreed();
    await assert.rejects(decompress(Buffer.from('nothing that was compressed'), true), (error) => {
      assert.deepStrictEqual([error.code, error.errno, error[kStatusCode]], ['Z_DATA_ERROR', -3, 1007]);
      return true;
    });
    assert.strictEqual(String(await decompress(await compress('more', true), true)), 'more');
    extension.cleanup();
  });

  it('stops at maxPayload', async () => {
    const { compress, decompress, extension } = agreed({ maxPayload: 1000 });
    const exact = await compress(Buffer.alloc(1000), true);
    assert.strictEqual((await decompress(exact, true)).length, 1000);
    const bomb = zlib.deflateRawSync(Buffer.alloc(50 * 1024 * 1024));
    const before = process.memoryUsage().rss;
    await assert.rejects(decompress(bomb, true), (error) => {
      assert.deepStrictEqual(
        [error.name, error.message, error.code, error[kStatusCode]],
        ['RangeError', 'Max payload size exceeded', 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 1009]
      );
      return true;
    });
    assert.ok(process.memoryUsage().rss - before < 25 * 1024 * 1024);
    extension.cleanup();
  });

  it('fails what is being compressed when it is cleaned up', async () => {
    const { compress, extension } = agreed();
    const pending = compress(Buffer.alloc(100000), true);
    extension.cleanup();
    extension.cleanup();
    await assert.rejects(pending, { message: 'The deflate stream was closed while data was being processed' });
  });

  it('hands zlib\'s options on, but for the window, which was agreed', async () => {
    const options = {
      zlibDeflateOptions: { level: 0, windowBits: 9, chunkSize: 256 }, zlibInflateOptions: { windowBits: 9, chunkSize: 512 }
    };
    const { compress, decompress, extension } = agreed(options, { client_max_window_bits: ['10'] });
    const compressed = await compress(Buffer.alloc(20000, 'ab'), true);
    assert.ok(compressed.length >= 20000);
    assert.strictEqual((await decompress(compressed, true)).length, 20000);
    extension.cleanup();
  });
});

describe('Limiter', () => {
  it('runs as many jobs as it may, in order', () => {
    const events = [];
    const done = [];
    const limiter = new Limiter(2);
    for (const name of ['a', 'b', 'c', 'd']) {
      limiter.add((finish) => {
        events.push(name);
        done.push(finish);
      });
    }
    assert.deepStrictEqual([events.join(''), limiter.pending, limiter.jobs.length], ['ab', 2, 2]);
    done[1]();
    assert.deepStrictEqual([events.join(''), limiter.pending, limiter.jobs.length], ['abc', 2, 1]);
    done[0]();
    done[2]();
    done[3]();
    assert.deepStrictEqual([events.join(''), limiter.pending, limiter.jobs.length], ['abcd', 0, 0]);
  });

  it('has no limit with 0', () => {
    assert.strictEqual(new Limiter(0).concurrency, Infinity);
  });
});
