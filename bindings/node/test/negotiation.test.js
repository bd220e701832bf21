'use strict';

const assert = require('node:assert');
const { describe, it } = require('node:test');

const extension = require('../lib/extension');
const negotiation = require('../lib/negotiation');

function accept(header, options, isServer) {
  return { ...negotiation.accept(options, isServer, extension.parse(header)[negotiation.NAME]) };
}

const P = 'permessage-deflate';
const NONE = 'None of the extension offers can be accepted';
const BITS = 'Unexpected or invalid parameter "client_max_window_bits"';

describe('negotiation.offer', () => {
  const offers = [
    [{}, 'client_max_window_bits'],
    [{ clientMaxWindowBits: false }, ''],
    [{ clientMaxWindowBits: 11 }, 'client_max_window_bits=11'],
    [{ clientMaxWindowBits: true, serverMaxWindowBits: 9 }, 'server_max_window_bits=9; client_max_window_bits'],
    [{ serverNoContextTakeover: true, clientNoContextTakeover: true, clientMaxWindowBits: false },
      'server_no_context_takeover; client_no_context_takeover'],
    [{ serverNoContextTakeover: false, serverMaxWindowBits: false }, 'client_max_window_bits']
  ];
  for (const [options, parameters] of offers) {
    it(JSON.stringify(options), () => {
      const header = extension.format({ [P]: negotiation.offer(options) });
      assert.strictEqual(header, parameters === '' ? P : `${P}; ${parameters}`);
    });
  }
});

describe('negotiation.accept on a server', () => {
  const agreed = [
    ['', {}, {}],
    ['; client_max_window_bits', {}, {}],
    ['; client_max_window_bits=9', {}, { client_max_window_bits: 9 }],
    ['; client_max_window_bits=9', { clientMaxWindowBits: false }, {}],
    ['; client_max_window_bits', { clientMaxWindowBits: 9 }, { client_max_window_bits: 9 }],
    ['; server_max_window_bits=9', {}, { server_max_window_bits: 9 }],
    ['; server_max_window_bits=14', { serverMaxWindowBits: 12 }, { server_max_window_bits: 12 }],
    ['', { serverMaxWindowBits: 12 }, { server_max_window_bits: 12 }],
    ['; server_no_context_takeover', {}, { server_no_context_takeover: true }],
    ['', { serverNoContextTakeover: true, clientNoContextTakeover: true },
      { server_no_context_takeover: true, client_no_context_takeover: true }],
    [`; server_max_window_bits=9, ${P}`, { serverMaxWindowBits: 10 }, { server_max_window_bits: 10 }],
    [`; server_no_context_takeover, ${P}`, { serverNoContextTakeover: false }, {}],
    ['; client_max_window_bits="10"', {}, { client_max_window_bits: 10 }]
  ];
  for (const [parameters, options, expected] of agreed) {
    it(`agrees to ${P + parameters} with ${JSON.stringify(options)}`, () => {
      assert.deepStrictEqual(accept(P + parameters, options, true), expected);
    });
  }

  const refused = [
    ['; server_no_context_takeover', { serverNoContextTakeover: false }, 'Error', NONE],
    ['; server_max_window_bits=10', { serverMaxWindowBits: false }, 'Error', NONE],
    ['; server_max_window_bits=10', { serverMaxWindowBits: 11 }, 'Error', NONE],
    ['', { clientMaxWindowBits: 10 }, 'Error', NONE],
    ['; foo', {}, 'Error', 'Unknown parameter "foo"'],
    [`, ${P}; constructor`, {}, 'Error', 'Unknown parameter "constructor"'],
    ['; foo; foo', {}, 'Error', 'Parameter "foo" must have only a single value'],
    ['; server_max_window_bits', {}, 'TypeError', 'Invalid value for parameter "server_max_window_bits": true'],
    ['; client_max_window_bits=7', {}, 'TypeError', 'Invalid value for parameter "client_max_window_bits": 7'],
    ['; client_max_window_bits=16', {}, 'TypeError', 'Invalid value for parameter "client_max_window_bits": 16'],
    ['; client_max_window_bits=x', {}, 'TypeError', 'Invalid value for parameter "client_max_window_bits": x'],
    ['; server_no_context_takeover=1', {}, 'TypeError', 'Invalid value for parameter "server_no_context_takeover": 1']
  ];
  for (const [parameters, options, name, message] of refused) {
    it(`refuses ${P + parameters} with ${JSON.stringify(options)}`, () => {
      assert.throws(() => accept(P + parameters, options, true), { name, message });
    });
  }

  it('leaves what it was given as it was', () => {
    const offers = extension.parse(`${P}; client_max_window_bits`)[P];
    negotiation.accept({ clientMaxWindowBits: 9 }, true, offers);
    assert.deepStrictEqual({ ...offers[0] }, { client_max_window_bits: [true] });
  });
});

describe('negotiation.accept on a client', () => {
  const agreed = [
    ['', {}, {}],
    ['', { clientMaxWindowBits: 10 }, { client_max_window_bits: 10 }],
    ['; client_max_window_bits=9', { clientMaxWindowBits: 10 }, { client_max_window_bits: 9 }],
    ['; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8', {},
      { server_no_context_takeover: true, client_no_context_takeover: true, server_max_window_bits: 8 }]
  ];
  for (const [parameters, options, expected] of agreed) {
    it(`agrees to ${P + parameters} with ${JSON.stringify(options)}`, () => {
      assert.deepStrictEqual(accept(P + parameters, options, false), expected);
    });
  }

  const refused = [
    ['; client_no_context_takeover', { clientNoContextTakeover: false }, 'Error',
      'Unexpected parameter "client_no_context_takeover"'],
    ['; client_max_window_bits=9', { clientMaxWindowBits: false }, 'Error', BITS],
    ['; client_max_window_bits=11', { clientMaxWindowBits: 10 }, 'Error', BITS],
    ['; client_max_window_bits', {}, 'TypeError', 'Invalid value for parameter "client_max_window_bits": true']
  ];
  for (const [parameters, options, name, message] of refused) {
    it(`refuses ${P + parameters} with ${JSON.stringify(options)}`, () => {
      assert.throws(() => accept(P + parameters, options, false), { name, message });
    });
  }
});

describe('negotiation.laneSettings', () => {
  const usual = {
    serverNoContextTakeover: false,
    clientNoContextTakeover: false,
    serverMaxWindowBits: 15,
    clientMaxWindowBits: 15,
    threshold: 0,
    level: 6,
    memLevel: 8
  };

  it('compresses everything with windows of 15 bits if nothing was asked for', () => {
    assert.deepStrictEqual(negotiation.laneSettings({}, {}, true), usual);
  });

  it('has a threshold only where this side begins each message with an empty window', () => {
    const parameters = { server_no_context_takeover: true };
    assert.strictEqual(negotiation.laneSettings({}, parameters, true).threshold, 1024);
    assert.strictEqual(negotiation.laneSettings({ threshold: 5 }, parameters, true).threshold, 5);
    assert.strictEqual(negotiation.laneSettings({ threshold: 5 }, parameters, false).threshold, 0);
    assert.strictEqual(negotiation.laneSettings({ threshold: 5 }, { client_no_context_takeover: true }, false).threshold, 5);
  });

  it('takes a threshold for a number of bytes, a negative one for 0, and compresses nothing with one that is no number', () => {
    const parameters = { server_no_context_takeover: true };
    for (const [threshold, expected] of [[-1, 0], [-Infinity, 0], [null, 0], ['7', 7], [0.5, 1], [Infinity, 2 ** 32 - 1], [NaN, 2 ** 32 - 1]]) {
      assert.strictEqual(negotiation.laneSettings({ threshold }, parameters, true).threshold, expected, String(threshold));
    }
  });

  it('takes the agreed windows and the level and memory of zlibDeflateOptions', () => {
    const options = { zlibDeflateOptions: { level: 1, memLevel: 3, chunkSize: 1024 } };
    const parameters = { server_max_window_bits: 9, client_max_window_bits: 10 };
    assert.deepStrictEqual(negotiation.laneSettings(options, parameters, true), {
      ...usual, serverMaxWindowBits: 9, clientMaxWindowBits: 10, level: 1, memLevel: 3
    });
    assert.strictEqual(negotiation.laneSettings({ zlibDeflateOptions: { level: -1 } }, {}, true).level, 6);
  });

});

describe('negotiation.check', () => {
  it('takes what zlib takes', () => {
    for (const zlibDeflateOptions of [undefined, {}, { level: -1, memLevel: 1 }, { level: 0, memLevel: 9, chunkSize: 1 }]) {
      negotiation.check({ zlibDeflateOptions });
    }
  });

  it('refuses a level that zlib does not have', () => {
    assert.throws(() => negotiation.check({ zlibDeflateOptions: { level: 10 } }), {
      name: 'RangeError', message: 'zlibDeflateOptions.level must be an integer from -1 to 9, not 10'
    });
    assert.throws(() => negotiation.check({ zlibDeflateOptions: { memLevel: 0 } }), {
      name: 'RangeError', message: 'zlibDeflateOptions.memLevel must be an integer from 1 to 9, not 0'
    });
  });
});
