/* ---- view: the list mirrors `records`, painted at most once a frame ---- */

let painted = 0; // number of the newest record that was painted
let due = false;
let flood = false;
let paused = false;
let following = true;
let scrolled = 0; // the last scroll position of the list

/* Paints at the next frame. In a flood, and while the page is hidden and gets no frames, a timer is used. */
function schedule() {
  if (due) return;
  due = true;
  if (document.hidden || flood) setTimeout(paint, 100);
  else requestAnimationFrame(paint);
}

function paint() {
  due = false;
  paintCounters();
  $('empty').hidden = records.length > 0;
  $('held').textContent = paused && serial > painted ? (serial - painted).toLocaleString('en') : '';
  $('pause').ariaLabel = $('held').textContent && `Pause, ${$('held').textContent} wait`;
  if (paused) return showFound();
  const first = records[0]?.n ?? serial + 1;
  const fresh = records.slice(Math.max(0, painted + 1 - first));
  flood = fresh.length > 20; // too much to read aloud, to animate, or to paint every frame
  if (fresh.length) {
    const batch = document.createDocumentFragment();
    for (const record of fresh) batch.append(entry(record));
    $('scroll').ariaLive = flood ? 'off' : 'polite';
    $('log').classList.toggle('flood', flood);
    $('log').append(batch);
    painted = serial;
    if (fresh.some((record) => record.dir !== 'sys')) sway();
  }
  const reading = following ? null : readingAt(first);
  while ($('log').firstChild?.record.n < first) $('log').firstChild.remove();
  if (reading) $('scroll').scrollTop += reading.item.getBoundingClientRect().top - reading.top;
  showFound();
  if (following) $('scroll').scrollTop = $('scroll').scrollHeight;
  scrolled = $('scroll').scrollTop;
  $('latest').hidden = following;
}

/* The first visible entry of those that stay, and its position. It is kept in place while older entries are removed, so that reading is not disturbed. */
function readingAt(first) {
  const edge = $('scroll').getBoundingClientRect().top;
  if (!($('log').firstChild?.record.n < first)) return null;
  for (const item of $('log').children) {
    const { top, bottom } = item.getBoundingClientRect();
    if (item.record.n >= first && bottom > edge) return { item, top };
  }
  return null;
}

/* Shows how many entries the filter lets through. */
function showFound() {
  const needle = $('filter').value.trim();
  const all = $('log').children;
  const found = needle ? [...all].filter((item) => !item.hidden).length : 0;
  const of = all.length.toLocaleString('en');
  $('found').textContent = needle && `${found.toLocaleString('en')} of ${of}`;
  $('unmatched').hidden = !needle || found > 0 || !all.length;
  $('unmatched-text').textContent = `None of ${of} ${all.length === 1 ? 'entry' : 'entries'} has “${needle}”.`;
}

// The composer may grow, and entries may be taller than was estimated. The last line must stay in sight.
const resized = new ResizeObserver(schedule);
resized.observe($('scroll'));
resized.observe($('log'));

function entry(record) {
  const { dir, type, chat } = record;
  const item = make('li');
  item.record = record;
  dress(item);
  const time = make('time', '', clock(record.at));
  const way = make('span', 'way', { out: '↑', in: '↓', sys: '•' }[dir]);
  way.role = 'img';
  way.ariaLabel = { out: 'sent', in: 'received', sys: 'connection' }[dir];
  const text = make('div', 'text');
  text.dir = type === 'binary' || dir === 'sys' || (chat && !chat.who) ? 'ltr' : 'auto';
  const meta = make('div', 'meta');
  item.append(time, way, text, meta);

  if (record.title) {
    text.append(make('strong', '', record.title), '\n', record.text);
    if (record.link) text.append(' ', Object.assign(make('a', '', record.link), { href: record.link, target: '_blank', rel: 'noopener' }));
    if (type === 'close') {
      const small = make('small', '', `wasClean ${record.wasClean} · `);
      small.append(...(record.reason ? ['reason “', make('bdi', '', record.reason), '”'] : ['no reason given']));
      text.append(' ', small);
    }
  } else if (chat?.who) {
    const who = make('span', 'who', chat.who);
    who.style.setProperty('--who', shade(chat.who));
    const said = make('span', 'said', chat.said);
    who.dir = said.dir = 'auto';
    text.dir = 'ltr';
    text.append(who, make('span', 'mark', ': '), said);
  } else if (chat) {
    text.append(make('span', 'mark', '* '), record.text.replace(/^\* /, ''));
  } else {
    fill(record, text, meta);
  }
  if (dir !== 'sys') {
    meta.append(make('span', '', `${type === 'binary' ? 'binary ' : ''}${size(record.size)}`));
    if (record.rtt !== undefined) meta.append(make('b', '', duration(record.rtt)));
  }
  item.hidden = !matches(record);
  return item;
}

/* Sets the classes of an entry: its kind, and in a chat whether it is shown as a bubble, an aside, or a plain line. */
function dress(item) {
  const { dir, type, size, bad, own, chat } = item.record;
  const bubbles = $('raw').ariaPressed !== 'true';
  const classes = ['entry', dir, { binary: 'hex', close: 'closed', error: 'fault' }[type], bad && 'bad', dir !== 'sys' && !size && 'none'];
  if (bubbles) classes.push(own && 'own', chat && (chat.who ? 'bubble' : 'aside'), chat?.mine && 'mine');
  item.className = classes.filter(Boolean).join(' ');
}

/* Shows the messages of a chat that the server did not send back before it ended: perhaps nobody got them. */
function unheard({ mode, sent }) {
  if (mode !== 'chat') return;
  for (const record of sent.splice(0)) record.own = false;
  for (const item of $('log').children) dress(item);
}

/* The payload of a message: cut if it is long, with buttons for the rest of it and for JSON. */
function fill(record, text, meta) {
  const whole = () => (record.bytes ? hexDump(record.bytes) : record.text);
  const long = record.bytes ? record.bytes.length > MAX_SHOWN / 8 : record.text.length > MAX_SHOWN;
  const brief = () => (record.bytes ? hexDump(record.bytes.subarray(0, MAX_SHOWN / 8)) : record.text.slice(0, MAX_SHOWN)) + (long ? '\n…' : '');
  text.textContent = brief();
  if (long) meta.append(pressable(make('button', '', 'Show all'), (on) => { text.textContent = on ? whole() : brief(); }));
  const json = record.dir !== 'sys' && !long && parsed(record.text);
  if (json) meta.append(pressable(make('button', '', 'JSON'), (on) => { text.textContent = on ? JSON.stringify(json, null, 2) : record.text; }));
}

/* Makes a button that stays pressed. `act` gets whether it is pressed. */
function pressable(button, act) {
  button.type = 'button';
  button.ariaPressed = 'false';
  button.addEventListener('click', () => {
    button.ariaPressed = String(button.ariaPressed !== 'true');
    act(button.ariaPressed === 'true');
  });
  return button;
}

function parsed(text = '') {
  try { return /^\s*[[{]/.test(text) ? JSON.parse(text) : null; } catch { return null; }
}

function matches(record) {
  const needle = $('filter').value.trim().toLowerCase();
  if (!needle) return true;
  const hay = record.bytes ? hexDump(record.bytes.subarray(0, MAX_SHOWN / 8)) : `${record.title ?? ''} ${record.text} ${record.reason ?? ''}`;
  return hay.toLowerCase().includes(needle);
}

/* The colour for a name: always the same one, and readable on both backgrounds. */
function shade(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  return `light-dark(hsl(${hash} 65% 25%), hsl(${hash} 55% 72%))`;
}

/* The time of day here, to the millisecond. */
function clock(at) {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(11, 23);
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const step = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** step).toFixed(1)} ${['B', 'kB', 'MB', 'GB'][step]}`;
}

function duration(ms) {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

$('filter').addEventListener('input', () => {
  for (const item of $('log').children) item.hidden = !matches(item.record);
  schedule();
});
$('unfilter').addEventListener('click', () => {
  $('filter').value = '';
  $('filter').dispatchEvent(new Event('input'));
  $('filter').focus();
});
pressable($('raw'), () => {
  for (const item of $('log').children) dress(item);
  schedule();
});
pressable($('pause'), (down) => { paused = down; schedule(); });
$('clear').addEventListener('click', () => {
  records = [];
  [held, lastRtt, unread] = [0, null, 0];
  for (const way of [totals.in, totals.out]) way.fill(0);
  $('log').replaceChildren();
  following = true;
  schedule();
});
$('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(ndjson());
    $('copy').lastElementChild.textContent = 'Copied';
    setTimeout(() => { $('copy').lastElementChild.textContent = 'Copy'; }, 1200);
  } catch { // over plain http a page has no clipboard, except on localhost
    hint('This browser does not give the page a clipboard. Use Save instead.');
  }
});
$('save').addEventListener('click', () => {
  const link = make('a');
  link.href = URL.createObjectURL(new Blob([ndjson()], { type: 'application/x-ndjson' }));
  link.download = `ropeway-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.ndjson`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});
$('scroll').addEventListener('scroll', () => {
  const { scrollHeight, scrollTop, clientHeight } = $('scroll');
  const below = scrollHeight - scrollTop - clientHeight;
  if (below < 48) following = true;
  else if (scrollTop < scrolled) following = false; // only a person scrolls up
  scrolled = scrollTop;
  $('latest').hidden = following;
});
$('latest').addEventListener('click', () => { following = true; schedule(); });
