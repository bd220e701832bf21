'use strict';

// Limiter: a queue of jobs of which only so many run at a time.

const { Queue } = require('./queue');

class Limiter {
  /**
   * @param {number} concurrency How many jobs may run at a time; 0 for as many as come.
   */
  constructor(concurrency) {
    this.concurrency = concurrency || Infinity;
    this.jobs = new Queue();
    this.pending = 0;
  }

  /**
   * Runs a job, now or when its turn comes.
   *
   * @param {Function} job Is called with a function that it has to call when it is done.
   */
  add(job) {
    this.jobs.push(job);
    this._start();
  }

  _start() {
    while (this.pending < this.concurrency && this.jobs.length > 0) {
      this.pending++;
      this.jobs.take()(() => {
        this.pending--;
        this._start();
      });
    }
  }
}

module.exports = Limiter;
