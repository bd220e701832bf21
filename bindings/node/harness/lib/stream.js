'use strict';

module.exports = require('../../lib/duplex');
