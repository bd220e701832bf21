'use strict';

// Queue: items that wait, in the order in which they came.

// The array is shortened when this many items were taken, or all: `shift` would move all others for each item.
const AT_ONCE = 1024;

class Queue {
  constructor() {
    this.items = [];
    // How many at the front have been taken.
    this.taken = 0;
  }

  get length() {
    return this.items.length - this.taken;
  }

  /** The one whose turn is next; undefined if nothing waits. */
  get first() {
    return this.items[this.taken];
  }

  push(item) {
    this.items.push(item);
  }

  /** Takes the first one off; undefined if nothing waits. */
  take() {
    const { items } = this;
    if (this.taken === items.length) return undefined;
    const item = items[this.taken];
    items[this.taken++] = undefined;
    if (this.taken === items.length || this.taken === AT_ONCE) {
      items.splice(0, this.taken);
      this.taken = 0;
    }
    return item;
  }

  /** Takes all of them off. */
  takeAll() {
    const all = this.items.slice(this.taken);
    this.items = [];
    this.taken = 0;
    return all;
  }
}

module.exports = { Queue };
