'use strict';

// Payload: the forms that the data of a message may have, sent and received.

/**
 * A Blob or a File. By its shape, so that those of other realms and of other packages are Blobs as well.
 */
function isBlob(data) {
  if (typeof data !== 'object' || data === null || Buffer.isBuffer(data)) return false;
  if (typeof data.arrayBuffer !== 'function' || typeof data.stream !== 'function') return false;
  const tag = data[Symbol.toStringTag];
  return typeof data.type === 'string' && (tag === 'Blob' || tag === 'File');
}

/**
 * The bytes of everything else that may be sent: a view of the caller's memory where there is one.
 */
function toBuffer(data) {
  if (Buffer.isBuffer(data)) return data;
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

/** How many bytes the data has. */
function byteLength(data) {
  if (typeof data === 'string') return Buffer.byteLength(data);
  return isBlob(data) ? data.size : toBuffer(data).length;
}

/**
 * A binary message as `binaryType` wants it.
 *
 * @param {Buffer} data The message.
 * @param {string} type `nodebuffer`, `arraybuffer`, `blob` or `fragments`.
 * @param {number[]} [cuts] The lengths of its fragments, if they are known. Without them it is one fragment.
 */
function toBinaryType(data, type, cuts) {
  switch (type) {
    case 'nodebuffer':
      return data;
    case 'fragments':
      return data.length === 0 ? [] : cut(data, cuts || [data.length]);
    case 'blob':
      return new Blob([data]);
    default: {
      // The memory behind a message is shared with other messages, or is Rust's, which cannot be transferred to another thread.
      const { buffer, byteOffset, length } = data;
      return buffer.slice(byteOffset, byteOffset + length);
    }
  }
}

function cut(data, lengths) {
  let end = 0;
  return lengths.filter((length) => length > 0).map((length) => data.subarray(end, (end += length)));
}

module.exports = { byteLength, isBlob, toBinaryType, toBuffer };
