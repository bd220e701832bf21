'use strict';

module.exports = require('../../lib/permessage-deflate');
