/* ---- start ---- */

const NAMES = ['Ada', 'Grace', 'Hedy', 'Radia', 'Alan', 'Edsger', 'Barbara', 'Vint', 'Frances', 'Tim'];
$('name').value = NAMES[Math.floor(Math.random() * NAMES.length)];
readHash();
paintCounters();
