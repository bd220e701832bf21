// Functions for tests of the page of `ropeway serve`: they wait for things to appear, and act like a visitor.

// Waits until the page shows the ready state, or an entry of the log whose class and text match.
export const state = (page, name) => page.locator('#state', { hasText: new RegExp(`^${name}$`) }).waitFor();
export const entry = (page, kind, text) => page.locator(`#log .entry.${kind}`, { hasText: text }).first().waitFor();

export async function say(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

// The texts of all entries of one kind in the log, as a reader sees them.
export const texts = (page, kind) => page.locator(`#log .entry.${kind} .text`).allInnerTexts();

// Faults of the page. The browser's own message that nothing listens is not counted.
export const unrefused = (faults) => faults.filter((fault) => !fault.includes('ERR_CONNECTION_REFUSED'));
