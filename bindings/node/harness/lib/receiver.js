'use strict';

module.exports = require('../../lib/receiver');
