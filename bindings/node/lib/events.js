'use strict';

// Event: the objects that listeners of the browser's kind receive, and the methods that such listeners are set with.

const kListener = Symbol('listener');
const kAttribute = Symbol('attribute');
const kTarget = Symbol('target');
const kType = Symbol('type');
const kDetail = Symbol('detail');

class Event {
  /** @param {string} type The name. */
  constructor(type) {
    this[kTarget] = null;
    this[kType] = type;
  }

  get target() {
    return this[kTarget];
  }

  get type() {
    return this[kType];
  }
}

class CloseEvent extends Event {
  /**
   * @param {string} type The name.
   * @param {{ code?: number, reason?: string, wasClean?: boolean }} [options]
   */
  constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
    super(type);
    this[kDetail] = { code, reason, wasClean };
  }

  get code() {
    return this[kDetail].code;
  }

  get reason() {
    return this[kDetail].reason;
  }

  get wasClean() {
    return this[kDetail].wasClean;
  }
}

class ErrorEvent extends Event {
  /**
   * @param {string} type The name.
   * @param {{ error?: any, message?: string }} [options]
   */
  constructor(type, { error = null, message = '' } = {}) {
    super(type);
    this[kDetail] = { error, message };
  }

  get error() {
    return this[kDetail].error;
  }

  get message() {
    return this[kDetail].message;
  }
}

class MessageEvent extends Event {
  /**
   * @param {string} type The name.
   * @param {{ data?: any }} [options]
   */
  constructor(type, { data = null } = {}) {
    super(type);
    this[kDetail] = data;
  }

  get data() {
    return this[kDetail];
  }
}

// Browsers list these properties when they list an event's.
for (const [Class, names] of [
  [Event, ['target', 'type']],
  [CloseEvent, ['code', 'reason', 'wasClean']],
  [ErrorEvent, ['error', 'message']],
  [MessageEvent, ['data']]
]) {
  for (const name of names) Object.defineProperty(Class.prototype, name, { enumerable: true });
}

// For each type the event made of what the emitter emits.
const FROM_EMITTER = {
  open: () => new Event('open'),
  message: (websocket, data, isBinary) => new MessageEvent('message', { data: isBinary ? data : data.toString() }),
  close: (websocket, code, reason) =>
    new CloseEvent('close', { code, reason: reason.toString(), wasClean: websocket._closeFrameSent && websocket._closeFrameReceived }),
  error: (websocket, error) => new ErrorEvent('error', { error, message: error.message })
};

/** The methods of the browser's interface, to be assigned to the prototype of an `EventEmitter`. */
const eventTarget = {
  /**
   * Adds a listener. Types other than `open`, `message`, `close` and `error` are ignored, and so is one that is there already.
   *
   * @param {string} type The type of the events.
   * @param {Function|{ handleEvent: Function }} handler The listener.
   * @param {{ once?: boolean }} [options]
   */
  addEventListener(type, handler, options = {}) {
    if (!Object.hasOwn(FROM_EMITTER, type)) return;
    if (this.listeners(type).some((listener) => isOf(listener, handler))) return;
    const listener = toListener(type, handler, false);
    if (options && options.once) this.once(type, listener);
    else this.on(type, listener);
  },

  /**
   * Removes a listener that `addEventListener` added.
   *
   * @param {string} type The type of the events.
   * @param {Function|{ handleEvent: Function }} handler The listener.
   */
  removeEventListener(type, handler) {
    const found = this.listeners(type).find((listener) => isOf(listener, handler));
    if (found !== undefined) this.removeListener(type, found);
  }
};

/**
 * Defines `onopen`, `onmessage`, `onclose` and `onerror` on a prototype.
 *
 * @param {Object} prototype That of an `EventEmitter`.
 */
function defineAttributes(prototype) {
  for (const type of Object.keys(FROM_EMITTER)) {
    Object.defineProperty(prototype, `on${type}`, {
      configurable: true,
      enumerable: true,
      get() {
        const found = this.listeners(type).find((listener) => listener[kAttribute]);
        return found === undefined ? null : found[kListener];
      },
      set(handler) {
        const found = this.listeners(type).find((listener) => listener[kAttribute]);
        if (found !== undefined) this.removeListener(type, found);
        if (typeof handler === 'function') this.on(type, toListener(type, handler, true));
      }
    });
  }
}

function isOf(listener, handler) {
  return listener[kListener] === handler && !listener[kAttribute];
}

// The emitter's listener for a handler of the browser's kind.
function toListener(type, handler, isAttribute) {
  const make = FROM_EMITTER[type];
  function listener(first, second) {
    const event = make(this, first, second);
    event[kTarget] = this;
    if (typeof handler === 'object' && handler.handleEvent) handler.handleEvent(event);
    else handler.call(this, event);
  }
  listener[kListener] = handler;
  listener[kAttribute] = isAttribute;
  return listener;
}

module.exports = { CloseEvent, ErrorEvent, Event, MessageEvent, defineAttributes, eventTarget, kListener };
