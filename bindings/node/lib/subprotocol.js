'use strict';

// Subprotocol: the value of `Sec-WebSocket-Protocol` that a client offers (RFC 6455, section 4.1, item 10).

const { Cursor } = require('./token');

/**
 * Reads a header's value: `chat, superchat` gives a set of two, in the order of the client's preference.
 *
 * @param {string} header The value.
 * @returns {Set<string>} The names.
 * @throws {SyntaxError} If a character has no place there, or a name comes twice.
 */
function parse(header) {
  const cursor = new Cursor(header);
  const names = new Set();

  for (;;) {
    const name = cursor.token();
    cursor.space();
    if (!cursor.atEnd && cursor.text[cursor.index] !== ',') throw cursor.unexpected();
    if (names.has(name)) throw new SyntaxError(`The "${name}" subprotocol is duplicated`);
    names.add(name);

    if (!cursor.takes(',')) return names;
    cursor.space();
  }
}

module.exports = { parse };
