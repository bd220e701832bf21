'use strict';

// A bundler for browsers takes this in place of index.js. Loading it does no harm, since code for both ends may import it.

module.exports = function ropeway() {
  throw new Error('ropeway runs in Node. In a browser use the WebSocket that is there: globalThis.WebSocket.');
};
