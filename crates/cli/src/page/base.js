'use strict';
const $ = (id) => document.getElementById(id);
const now = () => performance.timeOrigin + performance.now(); // epoch milliseconds, with fractions
const utf8 = new TextEncoder();

/* Makes an element. Data comes in only as `text`, which is never parsed as HTML. */
const make = (tag, className = '', text = '') => Object.assign(document.createElement(tag), { className, textContent: text });
