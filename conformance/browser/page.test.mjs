// The page that `ropeway serve` answers `GET /` with, in a real browser: everything that a visitor can do. Its looks are tested in
// `page-looks.test.mjs`.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { serve, serveOn } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';
import { entry, say, state, texts, unrefused } from './page.mjs';

const options = { timeout: DEADLINE };
let server;
let browser;

before(async () => { [server, browser] = await Promise.all([serve(), launch()]); });

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

test('a second tab of the chat hears from the moment that it opens, and has a name of its own', options, async () => {
  const { page: first, faults, leave } = await visit(browser, server.http);
  await first.check('[name=path][value="/chat"]', { force: true });
  assert.equal(await first.textContent('#state'), 'CLOSED', 'there is time to choose a name');
  const opening = first.context().waitForEvent('page', { timeout: DEADLINE });
  await first.click('#second');
  const second = await opening;
  await Promise.all([state(first, 'OPEN'), state(second, 'OPEN')]);
  const names = await Promise.all([first, second].map((page) => page.inputValue('#name')));
  assert.notEqual(names[0], names[1]);
  await entry(second, 'aside', `You are ${names[1]}`);
  await say(first, 'are you there?');
  await entry(second, 'bubble', 'are you there?');
  // Another visitor with the same name counts as someone else.
  const third = await visit(browser, server.http);
  await third.page.check('[name=path][value="/chat"]', { force: true });
  await third.page.fill('#name', names[0]);
  await third.page.click('#connect');
  await entry(third.page, 'aside', `You are ${names[0]} 2`);
  await say(third.page, 'so am I');
  await entry(third.page, 'bubble.mine', 'so am I');
  await entry(first, 'bubble:not(.mine)', 'so am I');
  assert.deepEqual(faults, []);
  await third.leave();
  await leave();
});

test('a link connects by itself to a chat here alone', options, async () => {
  for (const [hash, expected] of [['#/broadcast', 'OPEN'], ['#/echo', 'CLOSED'], [`#${server.ws('/other')}`, 'CLOSED'], ['#ws://localhost:1/chat', 'CLOSED']]) {
    const { page, leave } = await visit(browser, server.http + hash);
    await state(page, expected);
    assert.equal((await texts(page, 'sys')).length, expected === 'OPEN' ? 2 : 0, hash);
    await leave();
  }
});

test('texts of the chat are their guests own: one line each, its direction, nothing hidden', options, async () => {
  const eve = await visit(browser, `${server.http}#/chat`);
  const bob = await visit(browser, `${server.http}#/chat`);
  await Promise.all([state(eve.page, 'OPEN'), state(bob.page, 'OPEN')]);
  const arabic = 'مرحبا بالعالم! كيف حالك (اليوم)?';
  const forged = 'hello\nBob: give Eve the key \u202e\u200b';
  await say(eve.page, arabic);
  await say(eve.page, forged);
  for (const { page } of [eve, bob]) await entry(page, 'bubble', 'give Eve the key \\u{202e}\\u{200b}');
  await entry(eve.page, 'bubble.mine', 'give Eve the key');
  // The question mark ends the sentence, so it stands left of the first word.
  const [first, last] = await bob.page.locator('.bubble .said', { hasText: 'مرحبا' }).evaluate((said) => {
    const range = document.createRange();
    return [0, said.textContent.length - 1].map((at) => {
      range.setStart(said.firstChild, at);
      range.setEnd(said.firstChild, at + 1);
      return range.getBoundingClientRect().left;
    });
  });
  assert.ok(last < first, 'the last character is left of the first');
  await eve.page.click('#raw');
  const [line] = (await texts(eve.page, 'in')).filter((text) => text.includes('give Eve'));
  assert.match(line, /: hello\n/, 'the second line is no message of its own');
  await Promise.all([eve.leave(), bob.leave()]);
});

test('a page whose server comes back connects again, and sends what was typed meanwhile', options, async () => {
  const first = await serve();
  const { page, faults, screenshot, leave } = await visit(browser, first.http);
  await say(page, 'before');
  await entry(page, 'in', 'before');
  first.interrupt();
  await first.ended;
  await page.locator('#wait', { hasText: /Try \d of 8/ }).waitFor();
  await say(page, 'typed while it is down');
  await say(page, 'and more');
  await page.locator('#wait', { hasText: '2 messages wait' }).waitFor();
  await screenshot('page-waiting');
  const again = await serveOn(first.host);
  await state(page, 'OPEN');
  for (const text of ['typed while it is down', 'and more']) await entry(page, 'in', text);
  assert.equal(await page.locator('#wait').isVisible(), false);
  assert.deepEqual(unrefused(faults), []);
  await leave();
  again.kill();
});

test('trying again can be stopped, ends by itself, and gives back what was typed', options, async () => {
  const gone = await serve();
  const { page, leave } = await visit(browser, gone.http);
  await page.clock.install();
  await page.click('#connect');
  await state(page, 'OPEN');
  gone.kill();
  await gone.ended;
  await page.locator('#wait', { hasText: 'Try 1 of 8' }).waitFor();
  await page.click('#give-up');
  assert.equal(await page.locator('#wait').isVisible(), false);

  await say(page, 'kept');
  for (let tries = 1; tries <= 8; tries++) {
    await page.locator('#wait', { hasText: `Try ${tries} of 8 in` }).waitFor();
    await page.clock.fastForward(25_000);
  }
  await page.locator('#wait', { hasText: 'Not connected after 8 tries' }).waitFor();
  await page.locator('#wait', { hasText: '1 message waits' }).waitFor();
  await page.fill('#message', 'half a line');
  await page.click('#take-back');
  assert.equal(await page.inputValue('#message'), 'kept\nhalf a line');
  assert.equal(await page.locator('#wait').isVisible(), false);

  // Messages that wait for one address are not sent to another.
  await page.click('#send');
  await page.locator('#wait', { hasText: '1 message waits · Try 1 of 8' }).waitFor();
  const other = await serve('--allow-any-origin');
  await page.fill('#url', other.ws('/echo'));
  await page.click('#connect');
  await state(page, 'OPEN');
  assert.equal(await page.inputValue('#message'), 'kept\nhalf a line');
  assert.deepEqual(await texts(page, 'out'), []);
  await leave();
  other.kill();
});

test('a line that the server closes for good, or the user, is not dialled again', options, async () => {
  const { page, leave } = await visit(browser, server.http);
  await page.click('#connect');
  await state(page, 'OPEN');
  await page.click('#connect');
  await state(page, 'CLOSED');
  await say(page, 'again');
  await entry(page, 'in', 'again');
  await page.locator('#files').setInputFiles({ name: 'big', mimeType: 'application/octet-stream', buffer: Buffer.alloc((16 << 20) + 1) });
  await entry(page, 'closed', '1009');
  assert.equal(await page.locator('#wait').isVisible(), false);
  await leave();
});

test('a certificate that is not trusted is named as the reason, with the way to trust it', options, async () => {
  const secure = await serve('--tls-self-signed');
  const { page, leave } = await visit(browser, server.http);
  await page.fill('#url', `wss://${secure.host}/echo`);
  await page.click('#connect');
  await entry(page, 'closed', 'does not trust the server’s certificate');
  const link = page.locator('#log .closed a');
  assert.equal(await link.getAttribute('href'), `https://${secure.host}/`);
  assert.equal(await link.getAttribute('rel'), 'noopener');
  await page.fill('#url', `ws://${secure.host}/echo`);
  await page.click('#connect');
  await entry(page, 'closed', 'the port speaks TLS');
  await leave();
  secure.kill();
});

test('a filter says how many it lets through, and that it is none', options, async () => {
  const { page, leave } = await visit(browser, server.http);
  for (const text of ['one', 'two', 'three']) {
    await say(page, text);
    await entry(page, 'in', text);
  }
  await page.fill('#filter', 'two');
  await page.locator('#found', { hasText: /^2 of 8$/ }).waitFor();
  assert.equal(await page.locator('#unmatched').isVisible(), false);
  await page.fill('#filter', 'four');
  await page.locator('#found', { hasText: /^0 of 8$/ }).waitFor();
  await page.locator('#unmatched', { hasText: 'None of 8 entries has “four”.' }).waitFor();
  await page.click('#unfilter');
  assert.equal(await page.locator('#log .entry:visible').count(), 8);
  assert.equal(await page.textContent('#found'), '');
  await leave();
});

test('a paused log says how much waits', options, async () => {
  const { page, leave } = await visit(browser, server.http);
  await say(page, 'seen');
  await entry(page, 'in', 'seen');
  await page.click('#pause');
  await say(page, 'unseen');
  await page.locator('#held', { hasText: /^2$/ }).waitFor();
  await page.click('#pause');
  await entry(page, 'in', 'unseen');
  assert.equal(await page.textContent('#held'), '');
  await leave();
});

test('what is read stays where it is while older entries go', options, async () => {
  const { page, leave } = await visit(browser, server.http);
  await page.click('#connect');
  await state(page, 'OPEN');
  const flood = (from, count) => page.evaluate(([from, count]) => {
    for (let number = from; number < from + count; number++) received(line, `row ${number}`);
  }, [from, count]);
  await flood(0, 1200);
  await entry(page, 'in', 'row 1199');
  await page.locator('#log .entry', { hasText: /row 900/ }).evaluate((row) => {
    row.scrollIntoView({ block: 'start' });
  });
  await page.locator('#latest').waitFor();
  const top = () => page.locator('#log .entry', { hasText: /row 900/ }).evaluate((row) => Math.round(row.getBoundingClientRect().top));
  const before = await top();
  for (let from = 1200; from < 1600; from += 100) {
    await flood(from, 100);
    await page.locator('#log .entry', { hasText: new RegExp(`row ${from + 99}`) }).waitFor({ state: 'attached' });
  }
  assert.ok(Math.abs(await top() - before) <= 1, `row 900 was at ${before} and is at ${await top()}`);
  await page.click('#latest');
  await page.locator('#log .entry', { hasText: /row 1599/ }).waitFor();
  await leave();
});

test('a hint is gone with the next thing that is done', options, async () => {
  const { page, leave } = await visit(browser, server.http);
  const hint = page.locator('#hint');
  await page.check('#hex', { force: true });
  for (const next of [() => page.fill('#message', '4'), () => page.click('#pause'), () => page.fill('#filter', 'x'), () => page.check('[value=text]', { force: true })]) {
    await page.check('#hex', { force: true });
    await page.fill('#message', 'zz');
    await page.click('#send');
    await hint.filter({ hasText: 'Hex takes the digits' }).waitFor();
    await next();
    assert.equal(await hint.textContent(), '');
  }
  await leave();
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
