'use strict';

// Negotiation of permessage-deflate (RFC 7692, section 7.1), as npm's `ws` does it.
// It differs from the RFC in one thing: offers that cannot be accepted are an error and not the absence of compression.

const NAME = 'permessage-deflate';

const DEFAULT_WINDOW_BITS = 15;
const DEFAULT_THRESHOLD = 1024;
// A threshold that no message reaches: the addon's lengths have 32 bits.
const NEVER = 2 ** 32 - 1;
const DEFAULT_LEVEL = 6;
const DEFAULT_MEMORY_LEVEL = 8;

/**
 * The parameters that a client offers.
 *
 * @param {Object} options The option `perMessageDeflate` as an object.
 * @returns {Object} Parameters, for `extension.format({ [NAME]: offer(options) })`.
 */
function offer(options) {
  const parameters = {};
  if (options.serverNoContextTakeover) parameters.server_no_context_takeover = true;
  if (options.clientNoContextTakeover) parameters.client_no_context_takeover = true;
  if (options.serverMaxWindowBits) parameters.server_max_window_bits = options.serverMaxWindowBits;
  if (options.clientMaxWindowBits) parameters.client_max_window_bits = options.clientMaxWindowBits;
  else if (options.clientMaxWindowBits == null) parameters.client_max_window_bits = true;
  return parameters;
}

/**
 * Judges a client's offers (on the server), or the server's response (on the client).
 *
 * @param {Object} options The option `perMessageDeflate` as an object.
 * @param {boolean} isServer Whose side this is.
 * @param {Object[]} configurations `extension.parse(header)[NAME]`.
 * @returns {Object} The agreed parameters; a server puts them in its response.
 * @throws {Error|TypeError} If a parameter is unknown, repeated or out of range, or nothing is acceptable.
 */
function accept(options, isServer, configurations) {
  const read = configurations.map((parameters) => values(parameters, isServer));
  return isServer ? respond(options, read) : agree(options, read[0]);
}

/**
 * Refuses options that no compressor can have, when they are set and not when somebody connects.
 *
 * @param {Object} options The option `perMessageDeflate` as an object.
 * @throws {RangeError} If the level or the memory level is none of zlib's.
 */
function check(options) {
  const { level = DEFAULT_LEVEL, memLevel = DEFAULT_MEMORY_LEVEL } = options.zlibDeflateOptions || {};
  within(level, -1, 9, 'level');
  within(memLevel, 1, 9, 'memLevel');
}

/**
 * How the two halves of a connection code, once the parameters are agreed: `settings.deflate` of a lane.
 *
 * @param {Object} options The option `perMessageDeflate` as an object.
 * @param {Object} parameters What `accept` returned.
 * @param {boolean} isServer Whose side this is.
 */
function laneSettings(options, parameters, isServer) {
  const { level = DEFAULT_LEVEL, memLevel = DEFAULT_MEMORY_LEVEL } = options.zlibDeflateOptions || {};
  return {
    serverNoContextTakeover: standsAlone(parameters, true),
    clientNoContextTakeover: standsAlone(parameters, false),
    serverMaxWindowBits: windowBits(parameters.server_max_window_bits),
    clientMaxWindowBits: windowBits(parameters.client_max_window_bits),
    threshold: threshold(options, parameters, isServer),
    // zlib's -1 is its default too.
    level: level === -1 ? DEFAULT_LEVEL : level,
    memLevel
  };
}

/**
 * Whether a side begins each message with an empty window, so that its messages can be read alone (RFC 7692, section 7.1.1).
 *
 * @param {Object} parameters What `accept` returned.
 * @param {boolean} isServer Which side.
 */
function standsAlone(parameters, isServer) {
  return parameters[`${isServer ? 'server' : 'client'}_no_context_takeover`] === true;
}

/**
 * From which length on a side's messages are compressed. The option is for messages that stand alone: with a window that is kept
 * each is worth compressing.
 *
 * @param {Object} options The option `perMessageDeflate` as an object.
 * @param {Object} parameters What `accept` returned.
 * @param {boolean} isServer Which side.
 * @returns {number} Of bytes; 0 for all messages, and so for a negative option, as in `ws`.
 */
function threshold(options, parameters, isServer) {
  if (!standsAlone(parameters, isServer)) return 0;
  if (options.threshold === undefined) return DEFAULT_THRESHOLD;
  const bytes = Number(options.threshold);
  // As in `ws`, where no length is `>= NaN`: nothing is compressed.
  return Number.isNaN(bytes) ? NEVER : Math.min(Math.max(Math.ceil(bytes), 0), NEVER);
}

// The server's part: the first offer that the options allow, with what the options demand.
function respond(options, offers) {
  const accepted = offers.find((parameters) => isAcceptable(options, parameters));
  if (accepted === undefined) throw new Error('None of the extension offers can be accepted');

  if (options.serverNoContextTakeover) accepted.server_no_context_takeover = true;
  if (options.clientNoContextTakeover) accepted.client_no_context_takeover = true;
  if (typeof options.serverMaxWindowBits === 'number') {
    accepted.server_max_window_bits = options.serverMaxWindowBits;
  }
  if (typeof options.clientMaxWindowBits === 'number') {
    accepted.client_max_window_bits = options.clientMaxWindowBits;
  } else if (accepted.client_max_window_bits === true || options.clientMaxWindowBits === false) {
    // `true` only says that the client would take a number. No number is sent: its window stays at 15 bits.
    delete accepted.client_max_window_bits;
  }
  return accepted;
}

function isAcceptable(options, parameters) {
  if (options.serverNoContextTakeover === false && parameters.server_no_context_takeover) return false;
  if (parameters.server_max_window_bits !== undefined) {
    const own = options.serverMaxWindowBits;
    if (own === false || (typeof own === 'number' && own > parameters.server_max_window_bits)) return false;
  }
  // A number for the client's window may only be sent to a client that has asked for one.
  return typeof options.clientMaxWindowBits !== 'number' || parameters.client_max_window_bits !== undefined;
}

// The client's part: the response, if the options allow it.
function agree(options, response) {
  if (options.clientNoContextTakeover === false && response.client_no_context_takeover) {
    throw new Error('Unexpected parameter "client_no_context_takeover"');
  }
  const own = options.clientMaxWindowBits;
  const theirs = response.client_max_window_bits;
  if (theirs === undefined) {
    if (typeof own === 'number') response.client_max_window_bits = own;
  } else if (own === false || (typeof own === 'number' && theirs > own)) {
    throw new Error('Unexpected or invalid parameter "client_max_window_bits"');
  }
  return response;
}

// The parameters with one value each, of the type that it means. The given object stays as it is.
function values(parameters, isServer) {
  const read = Object.create(Object.getPrototypeOf(parameters));
  for (const name of Object.keys(parameters)) {
    if (parameters[name].length > 1) throw new Error(`Parameter "${name}" must have only a single value`);
    read[name] = value(name, parameters[name][0], isServer);
  }
  return read;
}

function value(name, text, isServer) {
  switch (name) {
    case 'server_no_context_takeover':
    case 'client_no_context_takeover':
      if (text === true) return true;
      break;
    case 'client_max_window_bits':
      // Without a number it is an offer only (RFC 7692, section 7.1.2.2).
      if (text === true && isServer) return true;
    // falls through
    case 'server_max_window_bits': {
      const bits = text === true ? NaN : Number(text);
      if (Number.isInteger(bits) && bits >= 8 && bits <= 15) return bits;
      break;
    }
    default:
      throw new Error(`Unknown parameter "${name}"`);
  }
  throw new TypeError(`Invalid value for parameter "${name}": ${text}`);
}

function windowBits(bits) {
  return typeof bits === 'number' ? bits : DEFAULT_WINDOW_BITS;
}

function within(number, least, most, name) {
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new RangeError(`zlibDeflateOptions.${name} must be an integer from ${least} to ${most}, not ${number}`);
}

module.exports = { NAME, accept, check, laneSettings, offer, standsAlone, threshold };
