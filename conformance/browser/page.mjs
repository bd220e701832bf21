// The page of `ropeway serve` as its tests use it: waiting for what it shows, and doing what a visitor does.

// Waits until the page shows it: the ready state, or an entry of the log whose class and text match.
export const state = (page, name) => page.locator('#state', { hasText: new RegExp(`^${name}$`) }).waitFor();
export const entry = (page, kind, text) => page.locator(`#log .entry.${kind}`, { hasText: text }).first().waitFor();

export async function say(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

// The texts of the log's entries of a kind, as they are read.
export const texts = (page, kind) => page.locator(`#log .entry.${kind} .text`).allInnerTexts();

// Faults of the page. A browser's complaint that nothing listens is none.
export const unrefused = (faults) => faults.filter((fault) => !fault.includes('ERR_CONNECTION_REFUSED'));
