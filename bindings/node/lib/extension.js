'use strict';

// Extension: the value of `Sec-WebSocket-Extensions`, read and written (RFC 6455, section 9.1).

const { Cursor } = require('./token');

/**
 * Reads a header's value: `foo; bar; baz=1, foo` gives `{ foo: [{ bar: [true], baz: ['1'] }, {}] }`.
 * No object in it has a prototype, so that an extension may be called `constructor`.
 *
 * @param {string} header The value.
 * @returns {Object<string, Object<string, (string|true)[]>[]>} For each name the parameters of each of its offers.
 * @throws {SyntaxError} With the index of the first character that the grammar does not allow.
 */
function parse(header) {
  const cursor = new Cursor(header);
  const extensions = Object.create(null);

  for (;;) {
    const name = cursor.token();
    const parameters = Object.create(null);
    cursor.space();
    while (cursor.takes(';')) {
      cursor.space();
      parameter(cursor, parameters);
      cursor.space();
    }
    push(extensions, name, parameters);

    if (cursor.atEnd) return extensions;
    if (!cursor.takes(',')) throw cursor.unexpected();
    cursor.space();
  }
}

/**
 * Writes a header's value; the reverse of `parse`. An array may be left out where it has one element.
 *
 * @param {Object} extensions For each name the parameters of each of its offers.
 * @returns {string} The value.
 */
function format(extensions) {
  return Object.keys(extensions)
    .flatMap((name) => list(extensions[name]).map((parameters) => one(name, parameters)))
    .join(', ');
}

// `name`, `name=token` or `name="token"`, as one value more of the parameter.
function parameter(cursor, parameters) {
  const name = cursor.token();
  let value = true;
  if (cursor.takes('=')) value = cursor.takes('"') ? quoted(cursor) : cursor.token();
  push(parameters, name, value);
}

// The rest of a quoted string. What it says has to be a token as well (RFC 6455, section 9.1).
function quoted(cursor) {
  let value = '';
  do {
    cursor.takes('\\');
    value += cursor.tokenCharacter();
  } while (!cursor.takes('"'));
  return value;
}

function one(name, parameters) {
  const parts = Object.keys(parameters).flatMap((key) =>
    list(parameters[key]).map((value) => (value === true ? key : `${key}=${value}`))
  );
  return [name, ...parts].join('; ');
}

function push(lists, name, element) {
  if (lists[name] === undefined) lists[name] = [element];
  else lists[name].push(element);
}

function list(value) {
  return Array.isArray(value) ? value : [value];
}

module.exports = { format, parse };
