// The page of `ropeway serve` as its tests use it: what it shows is waited for, what a visitor does is done.

// Waits until the page shows it: the ready state, or an entry of the log whose class and text match.
export const state = (page, name) => page.locator('#state', { hasText: new RegExp(`^${name}$`) }).waitFor();
export const entry = (page, kind, text) => page.locator(`#log .entry.${kind}`, { hasText: text }).first().waitFor();

export async function say(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

// What the log has of a kind, as it is read.
export const texts = (page, kind) => page.locator(`#log .entry.${kind} .text`).allInnerTexts();

// What a browser says on its console when nothing listens is no fault of the page.
export const unrefused = (faults) => faults.filter((fault) => !fault.includes('ERR_CONNECTION_REFUSED'));
