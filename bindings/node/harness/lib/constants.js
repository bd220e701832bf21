'use strict';

// The objects that the tests compare by identity: the package's own.

const { EMPTY } = require('../../lib/lane');
const { GUID } = require('../../lib/handshake');
const { kListener } = require('../../lib/events');
const { kStatusCode } = require('../../lib/violation');

module.exports = {
  EMPTY_BUFFER: EMPTY,
  GUID,
  NOOP() {},
  hasBlob: typeof Blob !== 'undefined',
  kListener,
  kStatusCode
};
