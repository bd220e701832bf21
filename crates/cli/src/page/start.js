
/* ---- start ---- */

const NAMES = ['Ada', 'Grace', 'Hedy', 'Radia', 'Alan', 'Edsger', 'Barbara', 'Vint', 'Frances', 'Tim', 'Karen', 'Ken', 'Lynn', 'Niklaus', 'Sophie', 'Donald'];
const LISTENS = ['/chat', '/broadcast']; // paths where a visitor gets messages without sending any

/* Each tab of a browser takes the next name, and keeps it. */
function pickName() {
  const any = Math.floor(Math.random() * NAMES.length);
  try {
    const turn = (Number(localStorage.getItem('ropeway-turn') ?? any) + 1) % NAMES.length;
    const mine = sessionStorage.getItem('ropeway-name') ?? NAMES[turn];
    if (mine === NAMES[turn]) localStorage.setItem('ropeway-turn', turn);
    sessionStorage.setItem('ropeway-name', mine);
    return mine;
  } catch { // this page has no storage
    return NAMES[any];
  }
}

$('name').value = pickName();
$('name').addEventListener('change', () => {
  try { sessionStorage.setItem('ropeway-name', $('name').value); } catch { /* it lasts until the page is left */ }
});
// A link to a second tab is useful only where this tab gets its messages.
$('second').addEventListener('click', () => { if (ready() === 'CLOSED') connect(); });
readHash();
paintCounters();
// A link to a chat on this server connects at once. Any other address is dialled only when the user asks for it.
if (location.hash && LISTENS.some((path) => readAddress()?.href === home + path)) connect();
