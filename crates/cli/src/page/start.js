
/* ---- start ---- */

const NAMES = ['Ada', 'Grace', 'Hedy', 'Radia', 'Alan', 'Edsger', 'Barbara', 'Vint', 'Frances', 'Tim', 'Karen', 'Ken', 'Lynn', 'Niklaus', 'Sophie', 'Donald'];
const LISTENS = ['/chat', '/broadcast']; // where one hears others without having said anything

/* Tabs of one browser take the names in turn, and each keeps its own. */
function pickName() {
  const any = Math.floor(Math.random() * NAMES.length);
  try {
    const turn = (Number(localStorage.getItem('ropeway-turn') ?? any) + 1) % NAMES.length;
    const mine = sessionStorage.getItem('ropeway-name') ?? NAMES[turn];
    if (mine === NAMES[turn]) localStorage.setItem('ropeway-turn', turn);
    sessionStorage.setItem('ropeway-name', mine);
    return mine;
  } catch { // no storage for this page
    return NAMES[any];
  }
}

$('name').value = pickName();
$('name').addEventListener('change', () => {
  try { sessionStorage.setItem('ropeway-name', $('name').value); } catch { /* it lasts until the page is left */ }
});
// A second tab to talk to is of use if this one hears it.
$('second').addEventListener('click', () => { if (ready() === 'CLOSED') connect(); });
readHash();
paintCounters();
// A link to a chat here is an invitation; anywhere else nothing is dialled before the user says so.
if (location.hash && LISTENS.some((path) => readAddress()?.href === home + path)) connect();
