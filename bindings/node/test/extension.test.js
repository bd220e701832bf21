'use strict';

const assert = require('node:assert');
const { describe, it } = require('node:test');

const { format, parse } = require('../lib/extension');

// The shape that `parse` gives: no object in it has a prototype.
function bare(entries) {
  return Object.assign(Object.create(null), entries);
}

describe('extension.parse', () => {
  const read = [
    ['foo', { foo: [{}] }],
    ['foo, bar', { foo: [{}], bar: [{}] }],
    ['foo;a, foo;b=2', { foo: [{ a: [true] }, { b: ['2'] }] }],
    ['foo;a=1;a;a=2', { foo: [{ a: ['1', true, '2'] }] }],
    ['foo;a="1"', { foo: [{ a: ['1'] }] }],
    ['foo;a="\\x\\y"', { foo: [{ a: ['xy'] }] }],
    ['foo \t;\ta=1 ; b\t,\tbar', { foo: [{ a: ['1'], b: [true] }], bar: [{}] }],
    ['constructor;__proto__, __proto__;toString', {
      constructor: [Object.assign(bare({}), { ['__proto__']: [true] })],
      ['__proto__']: [{ toString: [true] }]
    }]
  ];
  for (const [header, expected] of read) {
    it(`reads ${JSON.stringify(header)}`, () => {
      const whole = bare({});
      for (const name of Object.keys(expected)) whole[name] = expected[name].map((parameters) => bare(parameters));
      assert.deepStrictEqual(parse(header), whole);
    });
  }

  const refused = [
    ['', null], [' foo', 0], [',', 0], [';', 0], ['=', 0], ['"foo"', 0], ['foo,,', 4], ['foo,', null], ['foo, ', null],
    ['foo ', null], ['foo\t', null], ['f oo', 2], ['f@o', 1], ['f\u00e9o', 1], ['foo;', null], ['foo; ', null],
    ['foo;;', 4], ['foo;=', 4], ['foo;a b', 6], ['foo;a =1', 6], ['foo;a= 1', 6], ['foo;a=', null], ['foo;a=,', 6],
    ['foo;a=b"c"', 7], ['foo;a=b\\c', 7], ['foo;a=""', 7], ['foo;a="b c"', 8], ['foo;a="b', null], ['foo;a="b\\', null],
    ['foo;a="\\""', 8], ['foo;a="b"c', 9], ['foo;a="b" c', 10], ['foo;a="b" ', null], ['foo=1', 3], ['foo bar', 4]
  ];
  for (const [header, index] of refused) {
    it(`refuses ${JSON.stringify(header)}`, () => {
      const message = index === null ? 'Unexpected end of input' : `Unexpected character at index ${index}`;
      assert.throws(() => parse(header), { name: 'SyntaxError', message });
    });
  }

  it('takes a time that grows with the length alone', () => {
    const header = `foo;a="${'\\b'.repeat(500000)}"${' '.repeat(500000)};c`;
    assert.strictEqual(parse(header).foo[0].a[0].length, 500000);
  });
});

describe('extension.format', () => {
  const written = [
    [{}, ''],
    [{ foo: {} }, 'foo'],
    [{ foo: [{}, { a: 1 }], bar: { b: true } }, 'foo, foo; a=1, bar; b'],
    [{ foo: { a: [true, 2, 'x'] } }, 'foo; a; a=2; a=x'],
    [{ foo: [] }, '']
  ];
  for (const [extensions, expected] of written) {
    it(`writes ${JSON.stringify(extensions)}`, () => assert.strictEqual(format(extensions), expected));
  }

  it('gives what parse reads', () => {
    const header = 'foo; a; a=2, bar, foo; b=x';
    assert.strictEqual(format(parse(header)), 'foo; a; a=2, foo; b=x, bar');
  });
});
