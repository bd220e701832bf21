'use strict';

// Outbox: sends that wait behind a Blob that is being read, so that everything is sent in the order of the calls.

const { sendFailed } = require('./closing');
const { Queue } = require('./queue');

class Outbox {
  /** @param {import('./wire')} wire It has this outbox as long as something waits. */
  constructor(wire) {
    this.wire = wire;
    this.jobs = new Queue();
    // The bytes that wait, for `bufferedAmount`: without frames, as in `ws`.
    this.bytes = 0;
  }

  /**
   * Reads a Blob when its turn comes, and hands the data on.
   *
   * @param {Blob} blob
   * @param {(data: Buffer) => void} send
   * @param {Function} [callback] The caller's; called with an error if `send` is not.
   */
  addBlob(blob, send, callback) {
    this.bytes += blob.size;
    this.jobs.push({ blob, bytes: blob.size, send, callback });
    if (this.jobs.length === 1) this.read(this.jobs.first);
  }

  /**
   * Calls a function when all before it is sent.
   *
   * @param {number} bytes How many it will send.
   * @param {() => void} send
   * @param {Function} [callback] The caller's; called with an error if `send` is not.
   */
  add(bytes, send, callback) {
    this.bytes += bytes;
    this.jobs.push({ blob: null, bytes, send, callback });
  }

  read(job) {
    // Out of the promise: an exception of a callback is an uncaught exception, not an unhandled rejection.
    job.blob.arrayBuffer().then(
      (data) => process.nextTick(() => this.next(Buffer.from(data))),
      (error) => process.nextTick(() => this.fail(error, true))
    );
  }

  next(data) {
    if (this.wire.socket.destroyed) {
      this.fail(new Error('The socket was closed while the blob was being read'), false);
      return;
    }
    let next = data;
    do {
      const job = this.jobs.take();
      this.bytes -= job.bytes;
      if (this.jobs.length === 0) this.wire.outbox = null;
      job.send(next);
      next = undefined;
    } while (this.jobs.length > 0 && this.jobs.first.blob === null);
    if (this.jobs.length > 0) this.read(this.jobs.first);
  }

  fail(error, isOurs) {
    const { wire } = this;
    const jobs = this.jobs.takeAll();
    this.bytes = 0;
    wire.outbox = null;
    for (const { callback } of jobs) if (callback) callback(error);
    if (isOurs) sendFailed(wire, error);
  }
}

module.exports = { Outbox };
