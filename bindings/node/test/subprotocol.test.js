'use strict';

const assert = require('node:assert');
const { describe, it } = require('node:test');

const { parse } = require('../lib/subprotocol');
const { isToken } = require('../lib/token');

describe('subprotocol.parse', () => {
  const read = [
    ['chat', ['chat']],
    ['b,a', ['b', 'a']],
    ['a , b\t,\tc', ['a', 'b', 'c']],
    ["!#$%&'*+-.^_`|~", ["!#$%&'*+-.^_`|~"]]
  ];
  for (const [header, names] of read) {
    it(`reads ${JSON.stringify(header)}`, () => assert.deepStrictEqual([...parse(header)], names));
  }

  const refused = [
    ['', null], [' a', 0], [',', 0], ['a,,', 2], ['a, ,', 3], ['a,', null], ['a ', null], ['a b', 2], ['a@', 1], ['a;b', 1]
  ];
  for (const [header, index] of refused) {
    it(`refuses ${JSON.stringify(header)}`, () => {
      const message = index === null ? 'Unexpected end of input' : `Unexpected character at index ${index}`;
      assert.throws(() => parse(header), { name: 'SyntaxError', message });
    });
  }

  it('refuses a name that comes twice', () => {
    const error = { name: 'SyntaxError', message: 'The "a" subprotocol is duplicated' };
    assert.throws(() => parse('a,b,a'), error);
  });

  it('takes a time that grows with the length alone', () => {
    assert.deepStrictEqual([...parse(`a${' '.repeat(1000000)},b`)], ['a', 'b']);
  });
});

describe('isToken', () => {
  for (const text of ['a', '!#$%&\'*+-.^_`|~09AZaz']) it(`takes ${text}`, () => assert.ok(isToken(text)));
  for (const text of ['', ' ', 'a b', 'a\n', 'a/b', 'a:b', '\u00e9', 'a"']) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.ok(!isToken(text)));
  }
});
