/* ---- dashboard: the ready state, the slope, the counters ---- */

function showState() {
  const state = ready();
  document.body.dataset.state = state;
  $('state').textContent = state;
  for (const station of document.querySelectorAll('.station')) station.classList.toggle('lit', station.dataset.stop === state);
  $('connect').textContent = state === 'CLOSED' ? 'Connect' : 'Disconnect';
  $('connect').classList.toggle('strong', state === 'CLOSED');
  $('connect').disabled = state === 'CLOSING';
  showAddress();
  showWaiting();
  schedule();
}

function paintCounters() {
  for (const way of ['in', 'out']) {
    $(`n-${way}`).textContent = totals[way][0].toLocaleString('en');
    $(`b-${way}`).textContent = size(totals[way][1]);
  }
  const buffered = ready() === 'OPEN' ? line.socket.bufferedAmount : 0;
  [$('buffered').textContent, $('buffered-unit').textContent] = size(buffered).split(' ');
  [$('rtt').textContent, $('rtt-unit').textContent] = lastRtt === null ? ['–', ''] : duration(lastRtt).split(' ');
  document.title = unread ? `(${unread}) ropeway` : 'ropeway';
  if (buffered) schedule(); // no event tells that it shrinks
}

// In a small window it would open below the edge.
const more = document.querySelector('details');
more.addEventListener('toggle', () => { if (more.open) more.scrollIntoView({ block: 'nearest' }); });

/* Messages make the cabin swing a little, one swing at a time. */
let swing = null;
function sway() {
  if (swing?.playState === 'running' || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const degrees = [0, 7, -5, 3, -1.5, 0];
  swing = $('sway').animate(degrees.map((angle) => ({ transform: `rotate(${angle}deg)` })), { duration: 900, easing: 'ease-in-out' });
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) unread = 0;
  paint();
});
