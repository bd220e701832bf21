'use strict';

// Frame: the encoded bytes of one frame (RFC 6455, section 5.2), for those who write frames by themselves.

const { randomFillSync } = require('node:crypto');

const FIN = 0x80;
const RSV1 = 0x40;
const MASK = 0x80;

// A length above goes into 2 bytes more, or 8.
const LONGEST_IN_7_BITS = 125;
const LONGEST_IN_16_BITS = 65535;

// Keys are taken from a pool, because a call of the random generator costs more than a frame.
const pool = Buffer.alloc(8 * 1024);
let used = pool.length;

/**
 * Encodes a frame.
 *
 * @param {Buffer|string} data The payload. It is masked in place, if it is to be masked and is not read-only.
 * @param {Object} options `opcode`; `fin`, `rsv1`, `mask`, `readOnly`: booleans; `generateMask`: fills a buffer of 4 bytes.
 * @returns {Buffer[]} The header and, if there is one, the payload; both in one buffer, if the payload had to be copied.
 */
function frame(data, options) {
  const isString = typeof data === 'string';
  const payload = isString ? Buffer.from(data) : data;
  if (!options.mask) {
    const head = unmaskedHeader(payload.length, options);
    return payload.length === 0 ? [head] : [head, payload];
  }

  const key = newKey(options.generateMask);
  // The all-zero key changes nothing, so that nothing has to be copied for it.
  const changes = key[0] !== 0 || key[1] !== 0 || key[2] !== 0 || key[3] !== 0;
  const copies = changes && options.readOnly && !isString;
  const head = header(payload.length, options, MASK, copies ? payload.length : 0);
  const end = head.length - (copies ? payload.length : 0);
  key.copy(head, end - 4);
  if (copies) xor(payload, key, head, end);
  else if (changes) xor(payload, key, payload, 0);
  return copies || payload.length === 0 ? [head] : [head, payload];
}

/** The header of an unmasked frame whose payload of `length` bytes is written by the caller. */
function unmaskedHeader(length, options) {
  return header(length, options, 0, 0);
}

// The header, with room for the key and for `room` bytes behind it.
function header(length, options, mask, room) {
  const extended = length <= LONGEST_IN_7_BITS ? 0 : length <= LONGEST_IN_16_BITS ? 2 : 8;
  const head = Buffer.allocUnsafe(2 + extended + (mask ? 4 : 0) + room);
  head[0] = (options.fin ? FIN : 0) | (options.rsv1 ? RSV1 : 0) | options.opcode;
  if (extended === 0) {
    head[1] = mask | length;
  } else if (extended === 2) {
    head[1] = mask | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = mask | 127;
    head.writeUInt32BE(Math.floor(length / 0x100000000), 2);
    head.writeUInt32BE(length % 0x100000000, 6);
  }
  return head;
}

function newKey(generateMask) {
  if (generateMask) {
    const key = Buffer.alloc(4);
    generateMask(key);
    return key;
  }
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += 4;
  return pool.subarray(used - 4, used);
}

function xor(source, key, target, offset) {
  for (let i = 0; i < source.length; i++) target[offset + i] = source[i] ^ key[i & 3];
}

module.exports = { frame, unmaskedHeader };
