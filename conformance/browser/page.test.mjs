// The page that `ropeway serve` answers `GET /` with, in a real browser: every way a visitor goes.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';

const options = { timeout: DEADLINE };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
let server;
let browser;

before(async () => { [server, browser] = await Promise.all([serve(), launch()]); });
after(async () => {
  await browser?.close();
  server?.kill();
});

// Waits until the page shows it: the ready state, or an entry of the log whose class and text match.
const state = (page, name) => page.locator('#state', { hasText: new RegExp(`^${name}$`) }).waitFor();
const entry = (page, kind, text) => page.locator(`#log .entry.${kind}`, { hasText: text }).first().waitFor();

async function say(page, text) {
  await page.fill('#message', text);
  await page.click('#send');
}

test('a visitor connects, sends, sees the echo, and disconnects', options, async () => {
  const { page, faults, screenshot, leave } = await visit(browser, server.http);
  await state(page, 'CLOSED');
  assert.equal(new URL(await page.inputValue('#url')).host, server.host, 'the address is this server');
  // Every ready state is shown, however short it lasts.
  await page.evaluate(() => {
    const shown = document.getElementById('state');
    window.states = [];
    new MutationObserver(() => window.states.push(shown.textContent))
      .observe(shown, { childList: true, characterData: true, subtree: true });
  });
  await page.click('#connect');
  await state(page, 'OPEN');
  assert.equal((await page.textContent('#connect')).trim(), 'Disconnect');

  await say(page, 'grüß Gott, 🚡');
  await entry(page, 'out', 'grüß Gott, 🚡');
  await entry(page, 'in', 'grüß Gott, 🚡');
  assert.equal(await page.inputValue('#message'), '', 'what was sent leaves the box');
  await screenshot('page-open');

  await page.click('#connect');
  await state(page, 'CLOSED');
  await entry(page, 'sys', '1005');
  assert.deepEqual(await page.evaluate(() => window.states.filter((name, at, all) => name !== all[at - 1])),
    ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']);
  await screenshot('page-closed');
  assert.deepEqual(faults, []);
  await leave();
});

test('what the network sends stays text', options, async () => {
  const { page, faults, leave } = await visit(browser, server.http);
  await page.click('#connect');
  await state(page, 'OPEN');
  const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  await say(page, markup);
  await entry(page, 'in', markup);
  assert.equal(await page.locator('#log img, #log script').count(), 0);
  assert.deepEqual(faults, []);
  await leave();
});

test('two visitors of the chat see what the other says, with the name', options, async () => {
  const visitors = await Promise.all(['Heidi', 'Peter'].map(async (name) => {
    const visitor = await visit(browser, server.http);
    const url = new URL(await visitor.page.inputValue('#url'));
    url.pathname = '/chat';
    await visitor.page.fill('#url', url.href);
    await visitor.page.fill('#name', name);
    await visitor.page.click('#connect');
    await state(visitor.page, 'OPEN');
    return { name, ...visitor };
  }));
  for (const { name, page } of visitors) await say(page, `here is ${name} 🚡`);
  for (const { page } of visitors) {
    for (const { name } of visitors) await entry(page, 'in', `${name}: here is ${name} 🚡`);
  }
  for (const { name, screenshot, faults, leave } of visitors) {
    await screenshot(`chat-${name.toLowerCase()}`);
    assert.deepEqual(faults, []);
    await leave();
  }
});

test('everything is reached from the keyboard', options, async () => {
  const { page, leave } = await visit(browser, server.http);
  const tabTo = async (id) => {
    for (let presses = 0; presses < 60; presses++) {
      if (await page.evaluate(() => document.activeElement.id) === id) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`Tab never reaches #${id}`);
  };
  await tabTo('url');
  await page.keyboard.press('Enter');
  await state(page, 'OPEN');
  await tabTo('message');
  await page.keyboard.type('typed, not clicked');
  await page.keyboard.press('Enter');
  await entry(page, 'in', 'typed, not clicked');
  await page.keyboard.type('with the button');
  await tabTo('send');
  await page.keyboard.press('Space');
  await entry(page, 'in', 'with the button');
  await tabTo('connect');
  await page.keyboard.press('Enter');
  await state(page, 'CLOSED');
  await leave();
});

test('on a phone nothing scrolls sideways', options, async () => {
  const { page, screenshot, leave } = await visit(browser, server.http, PHONE);
  const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(await overhang(), 0, 'before connecting');
  await page.tap('#connect');
  await state(page, 'OPEN');
  for (const text of ['short', 'w'.repeat(2000), 'words that wrap '.repeat(50), '[1,2,{"a":"' + 'x'.repeat(300) + '"}]']) {
    await say(page, text);
    await entry(page, 'in', text);
    assert.equal(await overhang(), 0, `after ${text.slice(0, 20)}`);
  }
  await screenshot('page-phone');
  await leave();
});

test('in the dark it is dark', options, async () => {
  const { page, screenshot, leave } = await visit(browser, server.http, { colorScheme: 'dark' });
  const [red, green, blue] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
  assert.ok(red + green + blue < 3 * 64, 'the ground is dark');
  await screenshot('page-dark');
  await leave();
});

test('a server that shuts down is seen as 1001', options, async () => {
  const ending = await serve();
  const { page, leave } = await visit(browser, ending.http);
  await page.click('#connect');
  await state(page, 'OPEN');
  ending.interrupt();
  await state(page, 'CLOSED');
  await entry(page, 'sys', '1001');
  assert.equal(await ending.ended, 0);
  await leave();
});
