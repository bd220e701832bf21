
/* ---- waiting: messages sent while no line is open, and the tries to open one again ---- */

const LOST = [1001, 1006, 1012, 1013, 1014]; // codes after which the same address may work again soon
const MOST_TRIES = 8;        // they take a minute and a half in all
const FIRST_PAUSE = 1000;    // ms; doubled with each try
const LONGEST_PAUSE = 20_000;
const STEADY = 10_000;       // ms; if a line was open this long, earlier tries are not counted any more
const MOST_WAITING = 1000;
const MOST_WAITING_BYTES = 16 << 20;
let waiting = [];  // { payload, href: the address it is for, written: the box's text; undefined for a file }
let tries = 0;     // since a line was last open for long, or the user dialled
let next = null;   // { address, at, timer } until the next try

/* Keeps a payload until a line to `address` is open. Returns null if too much is waiting already. */
function keep(payload, written, address) {
  const bytes = waiting.reduce((sum, { payload }) => sum + payload.length, payload.length);
  if (waiting.length >= MOST_WAITING || bytes > MOST_WAITING_BYTES) return hint('No more than 1,000 messages and 16 MiB can wait for a connection. Connect first, and send this again.');
  waiting.push({ payload, href: address?.href, written });
  showWaiting();
}

/* Dials again after a pause. The pause doubles, and differs from tab to tab, so that a server that is back does not get all at once. */
function tryLater(address) {
  if (tries >= MOST_TRIES) return showWaiting();
  const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries) * (0.8 + 0.4 * Math.random());
  tries++;
  next = { address, at: now() + pause, timer: setTimeout(tryNow, pause) };
  showWaiting();
}

function tryNow() {
  if (ready() === 'CLOSED') connect(next?.address);
}

function stopWaiting() {
  clearTimeout(next?.timer);
  next = null;
  showWaiting();
}

/* Puts the messages that wait back into the box. Files are dropped, which is shown. */
function takeBack() {
  if (!waiting.length) return;
  const typed = waiting.filter(({ payload, written }) => written !== undefined).map(({ written }) => written);
  const files = waiting.length - typed.length;
  const box = $('message');
  box.value = [...typed, box.value].filter(Boolean).join('\n');
  waiting = [];
  grow();
  if (files) hint(`${files === 1 ? 'A file was' : `${files} files were`} not sent.`);
  showWaiting();
}

let counting = null;
function showWaiting() {
  const dialling = ready() === 'CONNECTING' && line.again;
  const given = !next && !dialling && tries >= MOST_TRIES && ready() === 'CLOSED';
  const what = next || dialling ? `Try ${tries} of ${MOST_TRIES}` : given ? `Not connected after ${MOST_TRIES} tries` : 'Not connected';
  const queue = waiting.length && `${waiting.length.toLocaleString('en')} message${waiting.length === 1 ? ' waits' : 's wait'}`;
  const text = [queue, what].filter(Boolean).join(' · ');
  $('wait').hidden = !(next || dialling || given || (waiting.length && ready() === 'CLOSED'));
  if ($('wait-text').textContent !== text) $('wait-text').textContent = text; // each change is read aloud
  $('wait-left').textContent = next ? ` in ${Math.max(1, Math.ceil((next.at - now()) / 1000))} s` : '';
  $('try').hidden = ready() !== 'CLOSED';
  $('give-up').hidden = !next && !given;
  $('take-back').hidden = !waiting.length;
  clearTimeout(counting);
  if (next) counting = setTimeout(showWaiting, 250);
}

$('try').addEventListener('click', () => {
  tries = 0;
  tryNow();
});
$('give-up').addEventListener('click', () => { tries = 0; stopWaiting(); });
$('take-back').addEventListener('click', () => {
  tries = 0;
  takeBack();
  stopWaiting();
  $('message').focus();
});
addEventListener('online', () => { if (next) tryNow(); });
