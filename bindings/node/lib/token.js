'use strict';

// Token: the words of a header's value (RFC 9110, section 5.6.2), and a cursor that walks over them.

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

// One entry for each ASCII character: 1 if a token may contain it.
const IN_TOKEN = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  if (TOKEN.test(String.fromCharCode(code))) IN_TOKEN[code] = 1;
}

// Walks through a header's value from left to right, once. Every refusal names the place.
class Cursor {
  constructor(text) {
    this.text = text;
    this.index = 0;
  }

  get atEnd() {
    return this.index === this.text.length;
  }

  // Steps over `character` if it stands here, and says whether it did.
  takes(character) {
    if (this.text[this.index] !== character) return false;
    this.index++;
    return true;
  }

  // One character that a token may contain.
  tokenCharacter() {
    if (!inToken(this.text, this.index)) throw this.unexpected();
    return this.text[this.index++];
  }

  // A token of one character at least.
  token() {
    const start = this.index;
    while (inToken(this.text, this.index)) this.index++;
    if (this.index === start) throw this.unexpected();
    return this.text.slice(start, this.index);
  }

  // Optional white space: spaces and tabs. It separates, so that something has to follow it.
  space() {
    const start = this.index;
    while (this.text[this.index] === ' ' || this.text[this.index] === '\t') this.index++;
    if (this.index > start && this.atEnd) throw this.unexpected();
  }

  // The error for what stands here.
  unexpected() {
    return new SyntaxError(
      this.atEnd ? 'Unexpected end of input' : `Unexpected character at index ${this.index}`
    );
  }
}

function isToken(text) {
  return TOKEN.test(text);
}

function inToken(text, index) {
  return IN_TOKEN[text.charCodeAt(index)] === 1;
}

module.exports = { Cursor, isToken };
