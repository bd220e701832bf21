/* ---- keyboard ---- */

$('message').addEventListener('keydown', (event) => {
  const box = event.target;
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    return sendBox();
  }
  if (!box.value) recalled = past.length;
  const untouched = box.value === (past[recalled] ?? '');
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || !untouched || !(recalled + step in past || recalled + step === past.length)) return;
  event.preventDefault();
  recalled += step;
  box.value = past[recalled] ?? '';
  grow();
});
addEventListener('keydown', (event) => {
  const typing = /^(INPUT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== 'radio';
  if (event.key === 'Escape' && !$('help').open) {
    document.querySelector('details[open]')?.removeAttribute('open');
    if (!$('auto').hidden) $('auto-toggle').click();
    if ($('filter').value) {
      $('filter').value = '';
      $('filter').dispatchEvent(new Event('input'));
    }
    $('message').focus();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && event.key === '/') {
    event.preventDefault();
    $('filter').focus();
  } else if (!typing && event.key === '?') {
    $('help').showModal();
  }
});
$('keys').addEventListener('click', () => $('help').showModal());
$('help-close').addEventListener('click', () => $('help').close());
