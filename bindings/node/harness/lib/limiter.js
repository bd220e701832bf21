'use strict';

module.exports = require('../../lib/limiter');
