/* ---- log: the last 1,000 records, and no more than 64 MiB of them ---- */

const MAX_RECORDS = 1000;
const MAX_BYTES = 64 << 20;
const MAX_SHOWN = 8192; // longest part of a message on the page, in characters, until "Show all" is pressed
const totals = { in: [0, 0], out: [0, 0] };
let records = [];
let held = 0;   // bytes of all records
let serial = 0; // number of the newest record
let lastRtt = null;
let unread = 0;

/* The fields of a record for text or bytes. */
function content(payload) {
  if (typeof payload === 'string') return { type: 'text', text: payload, size: utf8.encode(payload).length };
  const bytes = new Uint8Array(payload);
  return { type: 'binary', bytes, size: bytes.length };
}

/* Takes a message out of the JSON of a server that keeps messages, whose first message says that it does. Returns null for a message about the others. */
function taken(mine, payload) {
  const isFirst = !mine.heard;
  const frame = typeof payload === 'string' && (isFirst || mine.keeps) ? parsed(payload) : null;
  mine.heard = true;
  if (isFirst && mine.mode !== 'echo' && Number.isInteger(frame?.history)) {
    mine.keeps = frame.history;
    return null;
  }
  if (!mine.keeps || !frame) return payload;
  if (frame.position) place = { href: mine.address.href, position: frame.position };
  if (frame.recovered !== undefined) {
    const { recovered, replayed } = frame;
    const text = !recovered ? `Messages are missing here: the server keeps the last ${mine.keeps}, for some minutes.`
      : replayed ? `${replayed} message${replayed === 1 ? ' has' : 's have'} come since this tab was last connected. None is missing.` : 'No message has come since this tab was last connected.';
    add({ dir: 'sys', type: 'recovery', text, bad: !recovered });
    return null;
  }
  if (typeof frame.base64 === 'string') return Uint8Array.from(atob(frame.base64), (char) => char.charCodeAt(0)).buffer;
  return typeof frame.text === 'string' ? frame.text : null;
}

function received(mine, whole) {
  const payload = taken(mine, whole);
  if (payload === null) return;
  const record = { dir: 'in', at: now(), ...content(payload) };
  const { sent } = mine;
  let asked; // the message of ours that this message answers
  if (mine.mode === 'echo') {
    // Echoes come back in order, so this can only answer the oldest unanswered message.
    if (['type', 'size', 'text'].every((field) => sent[0]?.[field] === record[field])) asked = sent.shift();
  } else if (mine.mode === 'chat' && record.type === 'text') {
    // The server's first message has this visitor's name. It is another one if the chosen name was taken.
    mine.me ??= /^\* You are ([^:\n]+)$/.exec(record.text)?.[1];
    const [, who, said] = /^(?!\* )([^:\n]{1,80}): ([^]*)$/.exec(record.text.replaceAll('\n  | ', '\n')) ?? [];
    let own = sent.findIndex((record) => who && record.text?.trim() === said.trim());
    // They come back in order, but may be changed: the server replaces hidden characters by their numbers.
    if (mine.me) own = who === mine.me ? Math.max(own, 0) : -1;
    record.chat = { who, said, mine: own >= 0 };
    asked = sent.splice(0, own + 1).pop();
  }
  if (asked) record.rtt = lastRtt = record.at - asked.at;
  if (document.hidden) unread++;
  add(record);
}

function add(record) {
  record.at ??= now();
  record.size ??= 0;
  record.n = ++serial;
  record.own = record.dir === 'out' && line.mode === 'chat'; // a chat shows it only when the server sends it back
  if (record.dir !== 'sys') {
    totals[record.dir][0]++;
    totals[record.dir][1] += record.size;
  }
  records.push(record);
  held += record.size;
  while (records.length > MAX_RECORDS || (held > MAX_BYTES && records.length > 1)) held -= records.shift().size;
  schedule();
}

/* The kept log, one JSON object a line. */
function ndjson() {
  return records.map(({ at, dir, type, size, rtt, text, bytes, title, code, reason, wasClean }) => JSON.stringify({
    time: new Date(at).toISOString(), dir, type, size: dir === 'sys' ? undefined : size,
    rtt_ms: rtt && Number(rtt.toFixed(3)), code, reason, was_clean: wasClean,
    text: title ? `${title}: ${text}` : text, hex: bytes && hexOf(bytes, ''),
  }) + '\n').join('');
}

function hexOf(bytes, between) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(between);
}

/* A hex dump: offset, bytes, and the printable ASCII among them. */
function hexDump(bytes) {
  const width = $('scroll').clientWidth < 700 ? 8 : 16;
  const rows = [];
  for (let at = 0; at < bytes.length; at += width) {
    const row = bytes.subarray(at, at + width);
    const ascii = Array.from(row, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '·')).join('');
    rows.push(`${at.toString(16).padStart(4, '0')}  ${hexOf(row, ' ').padEnd(width * 3 - 1)}  ${ascii}`);
  }
  return rows.join('\n');
}
