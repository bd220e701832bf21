'use strict';
const $ = (id) => document.getElementById(id);
const now = () => performance.timeOrigin + performance.now(); // epoch milliseconds, with fractions
const utf8 = new TextEncoder();

/* Makes an element. Data only ever comes in as `text`, which no parser sees. */
const make = (tag, className = '', text = '') => Object.assign(document.createElement(tag), { className, textContent: text });
